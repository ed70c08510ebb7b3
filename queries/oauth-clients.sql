-- Question: Which OAuth clients act for users, for how many, and what do they do?
-- Columns:
--   oauth_client_id  the OAuth client
--   calls            calls made on behalf of users
--   users            users on whose behalf
--   calls_kinds      how many different calls were made
--   entities         how many entities were named
--   failed_percent   share of calls with a status of 400 or more
--   first_call       the first call, UTC
--   last_call        the last call, UTC
-- Parameters:
--   first day, last day: the period, both included, UTC
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
)
SELECT
    oauth_client_id,
    count(*) AS calls,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users,
    count(DISTINCT normalized_method_signature) AS calls_kinds,
    count(DISTINCT entity_id) AS entities,
    round(1e2 * count_if(response_status >= 400) / count(*), 2) AS failed_percent,
    CAST(min("timestamp") AS timestamp(3)) AS first_call,
    CAST(max("timestamp") AS timestamp(3)) AS last_call
FROM calls
WHERE oauth_client_id IS NOT NULL
GROUP BY oauth_client_id
ORDER BY calls DESC, oauth_client_id

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
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
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

-- Question: Which callers are turned away because they call too often?
-- Columns:
--   user_id               the user; 273950: those who have not signed in; null: not known
--   client                kind of client
--   client_version        its version
--   calls                 all calls of this user with this client
--   rate_limited          of these, turned away with status 429
--   rate_limited_percent  their share
--   kinds_limited         how many different calls were turned away
--   first_limited         when the first was turned away, UTC
--   last_limited          when the last was turned away, UTC
-- Parameters:
--   first day, last day: the period, both included, UTC
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
)
SELECT
    user_id,
    client,
    client_version,
    count(*) AS calls,
    count_if(response_status = 429) AS rate_limited,
    round(1e2 * count_if(response_status = 429) / count(*), 2) AS rate_limited_percent,
    count(DISTINCT normalized_method_signature) FILTER (WHERE response_status = 429) AS kinds_limited,
    CAST(min("timestamp") FILTER (WHERE response_status = 429) AS timestamp(3)) AS first_limited,
    CAST(max("timestamp") FILTER (WHERE response_status = 429) AS timestamp(3)) AS last_limited
FROM calls
GROUP BY user_id, client, client_version
HAVING count_if(response_status = 429) > 0
ORDER BY rate_limited DESC, user_id, client, client_version

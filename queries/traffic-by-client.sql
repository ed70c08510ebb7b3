-- Question: Which clients, in which versions, make how much of the traffic?
-- Columns:
--   client          kind of client; UNKNOWN: none of those that are known
--   client_version  its version; null where the client states none
--   calls           calls made
--   calls_percent   share of all calls of the period
--   users           users who signed in and called with it
--   failed_percent  share of calls with a status of 400 or more
-- Parameters:
--   first day, last day: the period, both included, UTC
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
)
SELECT
    client,
    client_version,
    count(*) AS calls,
    round(1e2 * count(*) / sum(count(*)) OVER (), 2) AS calls_percent,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users,
    round(1e2 * count_if(response_status >= 400) / count(*), 2) AS failed_percent
FROM calls
GROUP BY client, client_version
ORDER BY calls DESC, client, client_version

-- Question: Which clients, in which versions, make how much of the traffic?
-- Columns:
--   client          kind of client; UNKNOWN: none of those that are known
--   client_version  its version; null where the client states none
--   calls           calls made
--   calls_percent   share of all calls of the period
--   users           users who signed in and called with it
--   failed_percent  share of calls with a status of 400 or more
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
    client,
    client_version,
    count(*) AS calls,
    round(1e2 * count(*) / sum(count(*)) OVER (), 2) AS calls_percent,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users,
    round(1e2 * count_if(response_status >= 400) / count(*), 2) AS failed_percent
FROM calls
GROUP BY client, client_version
ORDER BY calls DESC, client, client_version

-- Question: When is the service busiest, and how does it hold?
-- Columns:
--   hour            begin of the hour, UTC
--   calls           calls in this hour
--   busiest_minute  calls in the busiest minute of the hour
--   mean_ms         mean time to serve a call, in milliseconds
--   rate_limited    calls turned away with status 429
--   server_errors   calls with a status of 500 or more
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
), minutes AS (
    SELECT
        CAST(date_trunc('minute', "timestamp") AS timestamp(3)) AS minute,
        count(*) AS calls,
        count(elapse_ms) AS timed,
        sum(elapse_ms) AS elapse_ms,
        count_if(response_status = 429) AS rate_limited,
        count_if(response_status >= 500) AS server_errors
    FROM calls
    GROUP BY 1
)
SELECT
    date_trunc('hour', minute) AS hour,
    sum(calls) AS calls,
    max(calls) AS busiest_minute,
    round(1e0 * sum(elapse_ms) / nullif(sum(timed), 0), 1) AS mean_ms,
    sum(rate_limited) AS rate_limited,
    sum(server_errors) AS server_errors
FROM minutes
GROUP BY 1
ORDER BY calls DESC, hour
LIMIT 24

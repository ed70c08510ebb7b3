-- Question: Which calls are slow?
-- Columns:
--   call     method and URL with ids replaced by #
--   calls    how often it was made
--   p50_ms   half of the calls took no longer, in milliseconds (approximate, as the next two)
--   p95_ms   95 of 100 calls took no longer
--   p99_ms   99 of 100 calls took no longer
--   max_ms   the slowest one
--   total_s  seconds that servers spent on all of them
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day,
        20 AS least_calls -- rarer calls are left out: their percentiles say little
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
)
SELECT
    normalized_method_signature AS call,
    count(*) AS calls,
    approx_percentile(elapse_ms, 0.50) AS p50_ms,
    approx_percentile(elapse_ms, 0.95) AS p95_ms,
    approx_percentile(elapse_ms, 0.99) AS p99_ms,
    max(elapse_ms) AS max_ms,
    round(sum(elapse_ms) / 1e3, 1) AS total_s
FROM calls
GROUP BY normalized_method_signature
HAVING count(*) >= (SELECT least_calls FROM parameters)
ORDER BY p95_ms DESC, call
LIMIT 15

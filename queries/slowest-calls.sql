-- Question: Which calls are slow?
-- Columns:
--   call     method and URL with ids replaced by #
--   calls    how often it was made
--   p50_ms   half of the calls took no longer, in milliseconds (approximate, as the next two)
--   p95_ms   95 of 100 calls took no longer
--   p99_ms   99 of 100 calls took no longer
--   max_ms   the slowest one
--   total_s  seconds that servers spent on all of them
-- Parameters:
--   first day, last day: the period, both included, UTC
--   least calls: rarer ones are left out, since their percentiles say little
--   most rows: how many calls are shown
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
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
HAVING count(*) >= 20 -- parameter: least calls
ORDER BY p95_ms DESC, call
LIMIT 15 -- parameter: most rows

-- Question: Is the new release of the stack slower than the last one, or does it fail more, and in which calls?
-- Columns:
--   call                method and URL with ids replaced by #
--   new_calls           how often the new instance served it
--   old_calls           how often the old one did
--   new_errors_percent  share of calls with a status of 500 or more on the new instance; null: it served none
--   old_errors_percent  the same of the old one
--   new_p50_ms          half of the calls took no longer on the new instance (approximate, as the next three)
--   old_p50_ms          the same of the old one
--   new_p95_ms          95 of 100 calls took no longer on the new instance
--   old_p95_ms          the same of the old one
--   p95_ratio           new_p95_ms by old_p95_ms: 2 is twice as slow
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day,
        '491' AS new_instance, -- the releases to compare
        '490' AS old_instance
), calls AS (
    SELECT access_record.*, CASE instance WHEN new_instance THEN 'new' WHEN old_instance THEN 'old' END AS side
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
), sides AS (
    SELECT
        normalized_method_signature AS call,
        count_if(side = 'new') AS new_calls,
        count_if(side = 'old') AS old_calls,
        round(1e2 * count_if(side = 'new' AND response_status >= 500) / nullif(count_if(side = 'new'), 0), 2) AS new_errors_percent,
        round(1e2 * count_if(side = 'old' AND response_status >= 500) / nullif(count_if(side = 'old'), 0), 2) AS old_errors_percent,
        approx_percentile(elapse_ms, 0.50) FILTER (WHERE side = 'new') AS new_p50_ms,
        approx_percentile(elapse_ms, 0.50) FILTER (WHERE side = 'old') AS old_p50_ms,
        approx_percentile(elapse_ms, 0.95) FILTER (WHERE side = 'new') AS new_p95_ms,
        approx_percentile(elapse_ms, 0.95) FILTER (WHERE side = 'old') AS old_p95_ms
    FROM calls
    WHERE side IS NOT NULL
    GROUP BY normalized_method_signature
)
SELECT *, round(1e0 * new_p95_ms / nullif(old_p95_ms, 0), 2) AS p95_ratio
FROM sides
ORDER BY p95_ratio DESC NULLS LAST, call

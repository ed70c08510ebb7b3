-- Question: Does one server fail more, or serve slower, than the others?
-- Columns:
--   vm_id                  the server
--   instance               release of the stack that ran on it
--   calls                  calls that it served
--   server_errors          of these, with a status of 500 or more
--   server_errors_percent  their share
--   p95_ms                 95 of 100 calls took no longer, in milliseconds (approximate)
--   first_call             when it served its first call, UTC
--   last_call              when it served its last call, UTC
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
    vm_id,
    instance,
    count(*) AS calls,
    count_if(response_status >= 500) AS server_errors,
    round(1e2 * count_if(response_status >= 500) / count(*), 2) AS server_errors_percent,
    approx_percentile(elapse_ms, 0.95) AS p95_ms,
    CAST(min("timestamp") AS timestamp(3)) AS first_call,
    CAST(max("timestamp") AS timestamp(3)) AS last_call
FROM calls
GROUP BY vm_id, instance
ORDER BY server_errors_percent DESC, vm_id, instance

-- Question: How did each day of the period go?
-- Columns:
--   date               the day, UTC
--   calls              calls served
--   users              users who signed in and called
--   anonymous_percent  share of calls by nobody in particular
--   client_errors      calls with a status of 400 to 499
--   server_errors      calls with a status of 500 or more
--   p95_ms             95 of 100 calls took no longer, in milliseconds (approximate)
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
    year || '-' || month || '-' || day AS date,
    count(*) AS calls,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users, -- 273950 stands for those who have not signed in
    round(1e2 * count_if(coalesce(user_id, 273950) = 273950) / count(*), 2) AS anonymous_percent,
    count_if(response_status BETWEEN 400 AND 499) AS client_errors,
    count_if(response_status >= 500) AS server_errors,
    approx_percentile(elapse_ms, 0.95) AS p95_ms
FROM calls
GROUP BY year, month, day
ORDER BY date

-- Question: Which calls are in the table more than once?
-- Columns:
--   session_id  unique id of the call
--   rows_found  how often it is there
--   dates       the days that it is on: two of them are two rows by design, one is a fault (quality.sql counts these)
--   same_call   whether all of the rows are of one user, method and URL
--   first_call  time of the first row, UTC
--   last_call   time of the last row, UTC
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
    session_id,
    count(*) AS rows_found,
    array_sort(array_agg(DISTINCT year || '-' || month || '-' || day)) AS dates,
    count(DISTINCT ROW(user_id, method, request_url)) = 1 AS same_call,
    CAST(min("timestamp") AS timestamp(3)) AS first_call,
    CAST(max("timestamp") AS timestamp(3)) AS last_call
FROM calls
WHERE session_id <> ''
GROUP BY session_id
HAVING count(*) > 1
ORDER BY session_id

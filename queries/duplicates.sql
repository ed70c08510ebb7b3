-- Question: Which calls are in the table more than once?
-- Columns:
--   session_id  unique id of the call
--   rows_found  how often it is there
--   dates       the days that it is on: two of them are two rows by design, one is a fault (quality.sql counts these)
--   same_call   whether all of the rows are of one user, method and URL
--   first_call  time of the first row, UTC
--   last_call   time of the last row, UTC
-- Parameters:
--   first day, last day: the period, both included, UTC
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
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

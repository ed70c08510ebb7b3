-- Question: Which calls that were made before are not made any more?
-- Columns:
--   call            method and URL with ids replaced by #
--   calls_before    how often it was made before
--   users_before    users who signed in and made it
--   clients_before  the kinds of client that made it
--   last_call       when it was made last, UTC
-- Parameters:
--   first day, last day: the period, both included, UTC
--   first day before, last day before: the time that the period is compared with
WITH calls AS (
    SELECT *, true AS recent
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
    UNION ALL
    SELECT *, false AS recent
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-16' AND '2023-12-29' -- parameters: first day before, last day before
)
SELECT
    normalized_method_signature AS call,
    count(*) AS calls_before,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users_before,
    array_sort(array_agg(DISTINCT client)) AS clients_before,
    CAST(max("timestamp") AS timestamp(3)) AS last_call
FROM calls
GROUP BY normalized_method_signature
HAVING count_if(recent) = 0
ORDER BY calls_before DESC, call

-- Question: Which calls that were made before are not made any more?
-- Columns:
--   call            method and URL with ids replaced by #
--   calls_before    how often it was made before
--   users_before    users who signed in and made it
--   clients_before  the kinds of client that made it
--   last_call       when it was made last, UTC
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day,
        DATE '2023-12-16' AS first_day_before, -- what it is compared with
        DATE '2023-12-29' AS last_day_before
), calls AS (
    SELECT access_record.*, true AS recent
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
    UNION ALL
    SELECT access_record.*, false AS recent
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day_before, '%Y') AND date_format(last_day_before, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day_before AS varchar) AND CAST(last_day_before AS varchar)
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

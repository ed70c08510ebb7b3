-- Question: Who calls most?
-- Columns:
--   user_id         the user; those who have not signed in are left out
--   calls           calls made
--   calls_percent   share of all calls of the period, those of users who have not signed in included
--   active_days     days on which the user called
--   calls_kinds     how many different calls were made
--   clients         the kinds of client used
--   failed_percent  share of calls with a status of 400 or more
--   last_call       the last call, UTC
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
), users AS (
    SELECT
        user_id,
        count(*) AS calls,
        round(1e2 * count(*) / sum(count(*)) OVER (), 2) AS calls_percent,
        count(DISTINCT year || month || day) AS active_days,
        count(DISTINCT normalized_method_signature) AS calls_kinds,
        array_sort(array_agg(DISTINCT client)) AS clients,
        round(1e2 * count_if(response_status >= 400) / count(*), 2) AS failed_percent,
        CAST(max("timestamp") AS timestamp(3)) AS last_call
    FROM calls
    GROUP BY user_id
)
SELECT *
FROM users
WHERE user_id <> 273950
ORDER BY calls DESC, user_id
LIMIT 25

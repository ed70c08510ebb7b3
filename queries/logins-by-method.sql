-- Question: How do callers prove who they are, by client?
-- Columns:
--   auth_method    how the call was authenticated; none: not at all
--   client         kind of client
--   calls          calls so authenticated
--   calls_percent  share of all calls of the period
--   users          users who signed in so
--   unauthorized   of these calls, answered by status 401
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
    coalesce(auth_method, 'none') AS auth_method,
    client,
    count(*) AS calls,
    round(1e2 * count(*) / sum(count(*)) OVER (), 2) AS calls_percent,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users,
    count_if(response_status = 401) AS unauthorized
FROM calls
GROUP BY coalesce(auth_method, 'none'), client
ORDER BY auth_method, calls DESC, client

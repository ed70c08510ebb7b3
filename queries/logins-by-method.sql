-- Question: How do callers prove who they are, by client?
-- Columns:
--   auth_method    how the call was authenticated; none: not at all
--   client         kind of client
--   calls          calls so authenticated
--   calls_percent  share of all calls of the period
--   users          users who signed in so
--   unauthorized   of these calls, answered by status 401
-- Parameters:
--   first day, last day: the period, both included, UTC
WITH calls AS (
    SELECT *
    FROM access_record
    WHERE year || '-' || month || '-' || day BETWEEN '2023-12-30' AND '2024-01-05' -- parameters: first day, last day
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

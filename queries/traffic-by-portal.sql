-- Question: From the pages of which portals do calls come?
-- Columns:
--   origin             the portal, as the browser's Origin header names it; null: no browser, or a page of the server
--                      itself
--   calls              calls made
--   users              users who signed in and called from there
--   anonymous_percent  share of calls by nobody in particular
--   calls_kinds        how many different calls were made
--   failed_percent     share of calls with a status of 400 or more
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
    origin,
    count(*) AS calls,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users,
    round(1e2 * count_if(coalesce(user_id, 273950) = 273950) / count(*), 2) AS anonymous_percent,
    count(DISTINCT normalized_method_signature) AS calls_kinds,
    round(1e2 * count_if(response_status >= 400) / count(*), 2) AS failed_percent
FROM calls
GROUP BY origin
ORDER BY calls DESC, origin

-- Question: Which entities are asked for most, and by how many?
-- Columns:
--   entity             the entity, as Synapse writes it
--   calls              calls whose URL names it
--   users              users who signed in and made them
--   anonymous_percent  share of calls by nobody in particular
--   refused            calls answered by status 401 or 403
--   methods            each HTTP method, and how often it was used
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
    'syn' || CAST(entity_id AS varchar) AS entity,
    count(*) AS calls,
    count(DISTINCT user_id) FILTER (WHERE user_id <> 273950) AS users,
    round(1e2 * count_if(coalesce(user_id, 273950) = 273950) / count(*), 2) AS anonymous_percent,
    count_if(response_status IN (401, 403)) AS refused,
    histogram(method) AS methods
FROM calls
WHERE entity_id IS NOT NULL
GROUP BY entity_id
ORDER BY calls DESC, entity
LIMIT 25

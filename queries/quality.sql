-- Question: Can the figures be trusted: is anything missing, doubled or odd, day by day?
-- Columns:
--   date            the day, UTC
--   rows_found      rows of this day
--   doubled         rows too many with a key that the day has already: 0, or the table is at fault
--   misplaced       rows whose time is not of this day: 0, or the table is at fault
--   without_key     rows without a session_id: repeated deliveries of them cannot be told
--   without_call    rows without method or URL
--   invalid_url     rows whose URL is none of the service's
--   unknown_client  rows whose client is not known
--   without_user    rows without a user_id
--   odd_times       rows whose elapse_ms is absent or negative
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
    count(*) AS rows_found,
    count_if(session_id <> '') - count(DISTINCT nullif(session_id, '')) AS doubled,
    count_if(date_format("timestamp", '%Y-%m-%d') <> year || '-' || month || '-' || day) AS misplaced,
    count_if(coalesce(session_id, '') = '') AS without_key,
    count_if(normalized_method_signature IS NULL) AS without_call,
    count_if(normalized_method_signature LIKE '% INVALID URL') AS invalid_url,
    count_if(client = 'UNKNOWN') AS unknown_client,
    count_if(user_id IS NULL) AS without_user,
    count_if(elapse_ms IS NULL OR elapse_ms < 0) AS odd_times
FROM calls
GROUP BY year, month, day
ORDER BY date

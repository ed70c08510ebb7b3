-- Question: What did one user do, call by call?
-- Columns:
--   time             when the call was received, UTC
--   method           HTTP method
--   request_url      path of the URL
--   query_string     part of the URL after the question mark
--   response_status  HTTP status of the answer
--   entity_id        the entity that the URL names
--   client           kind of client
--   client_version   its version
--   auth_method      how the caller proved who it is
--   oauth_client_id  OAuth client that acted for the user
--   address          where the call came from, as the first proxy saw it
--   session_id       unique id of the call
WITH parameters AS (
    SELECT
        DATE '2023-12-30' AS first_day, -- the period, both days included, UTC
        DATE '2024-01-05' AS last_day,
        3350002 AS wanted_user -- the id of the user
), calls AS (
    SELECT access_record.*
    FROM access_record CROSS JOIN parameters
    WHERE year BETWEEN date_format(first_day, '%Y') AND date_format(last_day, '%Y')
        AND year || '-' || month || '-' || day BETWEEN CAST(first_day AS varchar) AND CAST(last_day AS varchar)
        AND user_id = wanted_user
)
SELECT
    CAST("timestamp" AS timestamp(3)) AS time,
    method,
    request_url,
    query_string,
    response_status,
    entity_id,
    client,
    client_version,
    auth_method,
    oauth_client_id,
    trim(split_part(x_forwarded_for, ',', 1)) AS address,
    session_id
FROM calls
ORDER BY time, session_id

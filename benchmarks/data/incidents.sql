-- Incidents with their clocks, pauses, timeline, assets, alerts and scores, out of the one row of the table `given`
-- (total, unsolved, span, now, policies). Row n belongs to the customer n modulo their number, so that each has old and
-- new ones; the newest are unsolved.

CREATE TEMP TABLE seed AS
WITH numbered AS (
    SELECT array_agg(id ORDER BY id) AS ids FROM accounts_customer
), staff AS (
    SELECT array_agg(id ORDER BY id) AS ids FROM accounts_user WHERE role = 'engineer'
)
SELECT n, given.now, n > total - unsolved AS is_unsolved, policies,
       numbered.ids[1 + n % cardinality(numbered.ids)] AS customer_id,
       staff.ids[1 + n % cardinality(staff.ids)] AS engineer_id,
       (SELECT min(id) FROM accounts_user u WHERE u.customer_id = numbered.ids[1 + n % cardinality(numbered.ids)]) AS person_id,
       (SELECT min(id) + (n / 7) % 20 FROM assets_asset a
         WHERE a.customer_id = numbered.ids[1 + n % cardinality(numbered.ids)]) AS asset_id,
       CASE WHEN n % 100 < 2 THEN 1 WHEN n % 100 < 15 THEN 2 WHEN n % 100 < 60 THEN 3 ELSE 4 END AS severity,
       n % 3 > 0 AS is_alarm,
       CASE WHEN n > total - unsolved THEN given.now - make_interval(secs => (total - n) * 40)
            ELSE given.now - span * (1 - n::float / total) - interval '1 day' END AS opened_at,
       make_interval(secs => 60 + (n::bigint * 7919) % 1500) AS answered_after,
       make_interval(secs => 1800 + (n::bigint * 104729) % 90000) AS solved_after,
       (ARRAY['CPU 使用率过高', '端口 443 无响应', '磁盘空间不足 85%', 'MySQL 主从延迟', '订单无法支付', '登录很慢',
              'Redis 内存将满', '证书即将到期', 'Port 22 does not answer', 'Nginx 502', '进程 java 消失', '入流量异常'])
           [1 + (n * 31) % 12] AS what
FROM given, numbered, staff, generate_series(1, given.total) AS n;

INSERT INTO incidents_incident (
    customer_id, kind, title, description, severity, category, source, state, phase, assignee_id,
    raised_by_id, acknowledged_by_id, storm_asset_id, cause, resolution, policy, detected_at, opened_at, clock_started_at,
    acknowledged_at, resolved_at, closed_at, changed_at, next_due_at, version)
SELECT customer_id, 'incident', what || ' ' || 'web-' || lpad(((n / 7) % 20)::text, 2, '0') || ' #' || n,
       '从 ' || to_char(opened_at, 'MM-DD HH24:MI') || ' 起，' || what || '。影响范围：' || md5(n::text)
       || '；连续三次检查失败，已影响部分用户，请尽快处理。The check failed three times in a row; some users are affected.',
       severity, CASE WHEN is_alarm THEN 'aliyun' ELSE 'application' END,
       CASE WHEN is_alarm THEN 'monitoring' ELSE 'portal' END,
       CASE WHEN NOT is_unsolved THEN CASE WHEN n % 50 = 0 THEN 'resolved' ELSE 'closed' END
            WHEN n % 4 = 0 THEN 'open' WHEN n % 9 = 1 THEN 'waiting_customer' ELSE 'acknowledged' END, '',
       CASE WHEN is_unsolved AND n % 4 = 0 THEN NULL ELSE engineer_id END,
       CASE WHEN is_alarm THEN NULL ELSE person_id END,
       CASE WHEN is_unsolved AND n % 4 = 0 THEN NULL ELSE engineer_id END, NULL,
       CASE WHEN is_unsolved THEN '' ELSE (ARRAY['system', 'system', 'aliyun', 'customer_application', 'third_party', 'unknown'])[1 + n % 6] END,
       CASE WHEN is_unsolved THEN '' ELSE '已重启服务并扩容。' END, policies -> severity::text,
       opened_at, opened_at, opened_at,
       CASE WHEN is_unsolved AND n % 4 = 0 THEN NULL ELSE opened_at + answered_after END,
       CASE WHEN is_unsolved THEN NULL ELSE opened_at + solved_after END,
       CASE WHEN is_unsolved OR n % 50 = 0 THEN NULL ELSE opened_at + solved_after + interval '2 days' END,
       opened_at + solved_after, CASE WHEN is_unsolved AND n % 9 <> 1 THEN now + make_interval(secs => (n * 13) % 20000 - 4000) END, 5
FROM seed ORDER BY n;

CREATE TEMP TABLE made AS SELECT seed.*, i.id, i.state, i.next_due_at FROM seed JOIN incidents_incident i ON i.opened_at = seed.opened_at AND i.title = seed.what || ' ' || 'web-' || lpad(((n / 7) % 20)::text, 2, '0') || ' #' || n;

INSERT INTO incidents_clock (
    customer_id, incident_id, kind, round, started_at, target_minutes, due_at, stopped_at, warned_share, breached_at,
    breach_code, breach_note, elapsed_seconds, paused_seconds, is_provisional)
SELECT customer_id, id, kind, 1, began, target, began + make_interval(mins => target), ended, 0,
       CASE WHEN ended - began > make_interval(mins => target) THEN began + make_interval(mins => target) END,
       CASE WHEN ended - began > make_interval(mins => target) AND n % 2 = 0 THEN 'workload' ELSE '' END,
       CASE WHEN ended - began > make_interval(mins => target) AND n % 2 = 0 THEN '多起事件并发' ELSE '' END,
       extract(epoch FROM ended - began)::bigint, CASE WHEN ended IS NULL THEN NULL ELSE 0 END, false
FROM (
    SELECT n, customer_id, id, 'response' AS kind, opened_at AS began, 15 AS target,
           CASE WHEN state <> 'open' THEN opened_at + answered_after END AS ended FROM made
    UNION ALL SELECT n, customer_id, id, 'handling', opened_at, NULL, CASE WHEN NOT is_unsolved THEN opened_at + solved_after END FROM made
    UNION ALL SELECT n, customer_id, id, 'stage_report', opened_at + answered_after, 480,
           CASE WHEN NOT is_unsolved THEN opened_at + solved_after END FROM made WHERE state <> 'open'
    UNION ALL SELECT n, customer_id, id, 'notice', opened_at, 15, opened_at + interval '20 seconds' FROM made WHERE is_alarm
    UNION ALL SELECT n, customer_id, id, 'customer_reply', opened_at + answered_after, 2880,
           CASE WHEN NOT is_unsolved THEN opened_at + answered_after + interval '20 minutes' END
           FROM made WHERE n % 9 = 1 AND state <> 'open'
) AS clocks;

INSERT INTO incidents_pause (customer_id, incident_id, reason, started_at, ended_at)
SELECT customer_id, id, 'waiting_customer', opened_at + answered_after,
       CASE WHEN NOT is_unsolved THEN opened_at + answered_after + interval '20 minutes' END
FROM made WHERE n % 9 = 1 AND state <> 'open';

INSERT INTO incidents_timelineentry (customer_id, incident_id, at, kind, actor_id, is_internal, body, data)
SELECT customer_id, id, opened_at + offset_by, kind, actor, internal, body, data FROM (
    SELECT customer_id, id, opened_at, interval '0' AS offset_by, 'opened' AS kind, NULL::bigint AS actor, false AS internal, '' AS body, '{}'::jsonb AS data FROM made
    UNION ALL SELECT customer_id, id, opened_at, answered_after, 'acknowledged', engineer_id, false, '', '{}' FROM made WHERE state <> 'open'
    UNION ALL SELECT customer_id, id, opened_at, answered_after + interval '1 minute', 'note', engineer_id, true, '先看日志，再决定是否扩容。', '{}' FROM made WHERE state <> 'open'
    UNION ALL SELECT customer_id, id, opened_at, answered_after + interval '5 minutes', 'comment', engineer_id, false, '已定位，正在处理。', '{}' FROM made WHERE state <> 'open'
    UNION ALL SELECT customer_id, id, opened_at, solved_after, 'resolved', engineer_id, false, '已重启服务并扩容。', '{"cause": "system"}' FROM made WHERE NOT is_unsolved
    UNION ALL SELECT customer_id, id, opened_at, solved_after + interval '2 days', 'closed', person_id, false, '', '{"confirmed": true}' FROM made WHERE state = 'closed'
) AS entries;

INSERT INTO incidents_incidentasset (customer_id, incident_id, asset_id) SELECT customer_id, id, asset_id FROM made;

INSERT INTO incidents_incidentalert (
    customer_id, incident_id, asset_id, alert_key, title, severity, channels, occurred_at, recovered_at)
SELECT customer_id, id, asset_id, 'bench:' || n, what, severity, '[]', opened_at,
       CASE WHEN NOT is_unsolved THEN opened_at + solved_after END FROM made WHERE is_alarm;

INSERT INTO incidents_satisfaction (customer_id, incident_id, score, words, given_by_id, given_at)
SELECT customer_id, id, 3 + n % 3, '', person_id, opened_at + solved_after + interval '2 days'
FROM made WHERE state = 'closed' AND n % 5 = 0;

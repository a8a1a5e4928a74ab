"""The faults that are promised to be borne, and the tests that provoke them: `python -m tests.faults.table` prints it.

docs/faults.md holds the same table, with the figures of a whole run; tests/faults/test_table.py compares them.
"""

from typing import NamedTuple


class Row(NamedTuple):
    number: int
    fault: str
    happens: str
    tests: tuple[str, ...]  # FILE::FUNCTION below tests/


D = "deliveries/"
T = "deliveries/test_transport"
TABLE = [
    Row(1, "kill -9 of any process, at any moment", "what it held is claimed again once its lease ran out; a cluster that is headless or frozen ends itself and is started again",
        (f"{D}test_cluster.py::test_a_worker_killed_in_mid_batch_loses_nothing",
         f"{D}test_cluster.py::test_a_killed_sentinel_takes_all_with_it_and_a_new_cluster_goes_on",
         f"{D}test_cluster.py::test_a_killed_parent_leaves_no_orphan_at_work_and_a_new_cluster_goes_on",
         "faults/test_kills.py::test_whoever_of_the_cluster_is_killed_all_is_delivered",
         "faults/test_kills.py::test_a_web_process_that_is_killed_amid_sales_loses_none_that_it_promised",
         "faults/test_kills.py::test_fifty_kills_at_random_over_5000_posts")),
    Row(2, "death between claim and send", "sent once, no try counted",
        (f"{D}test_leases.py::test_a_worker_that_dies_between_claim_and_send_costs_no_try_and_no_repeat",)),
    Row(3, "death between send and record", "sent again once, the same id and bytes",
        (f"{D}test_leases.py::test_a_worker_that_dies_between_send_and_record_repeats_with_the_same_id_and_bytes",)),
    Row(4, "SIGTERM to one process, or to the whole group", "told alone, the parent has all in flight end and the rest given back; otherwise as a kill",
        (f"{D}test_cluster.py::test_told_to_stop_in_mid_batch_it_ends_what_is_in_flight_and_gives_the_rest_back",
         f"{D}test_cluster.py::test_told_to_stop_it_ends_though_its_sentinel_answers_no_more",
         f"{D}test_cluster.py::test_a_signal_to_the_whole_group_does_not_hang_it",
         "faults/test_kills.py::test_whoever_of_the_cluster_gets_a_sigterm_all_is_delivered",
         "faults/test_kills.py::test_fifty_kills_at_random_over_5000_posts")),
    Row(5, "django-q2's own time limit", "never reached: a drain ends by itself long before",
        (f"{D}test_deployment.py::test_the_worker_has_time_to_end_by_itself_before_it_is_killed",
         f"{D}test_leases.py::test_after_its_budget_it_hands_on")),
    Row(6, "the queue is away, or comes back empty", "the sale commits all the same; the clock finds what is due",
        (f"{D}test_cluster.py::test_a_sale_commits_while_the_broker_is_down_and_its_post_goes_out_on_the_brokers_return",
         "faults/test_queue.py::test_a_queue_that_loses_all_it_held_loses_no_post",
         "faults/test_queue.py::test_a_queue_that_loses_all_it_held_ten_times",
         f"{D}test_tasks.py::test_the_sweep_wakes_the_worker_for_what_is_due")),
    Row(7, "a job given twice, two clusters", "each post is sent once",
        (f"{D}test_leases.py::test_four_drains_at_once_send_each_post_once",
         f"{D}test_cluster.py::test_two_clusters_share_the_work_and_send_nothing_twice")),
    Row(8, "the database restarts", "sales are answered 503 meanwhile; outcomes are kept until they are recorded, and nothing is claimed before",
        ("faults/test_storage.py::test_a_database_that_restarts_amid_sales_and_posts_loses_none",
         "faults/test_storage.py::test_a_database_that_restarts_ten_times",
         f"{D}test_leases.py::test_a_connection_to_the_database_that_is_cut_in_flight_costs_no_outcome",
         f"{D}test_leases.py::test_what_a_drain_could_not_record_the_next_one_begins_with_and_claims_nothing_before",
         f"{D}test_leases.py::test_outcomes_that_die_with_their_worker_are_left_to_the_lease")),
    Row(9, "the database is locked", "all wait up to 20 s; a wake-up waits half a second",
        ("faults/test_storage.py::test_a_database_that_is_locked_for_a_while_loses_nothing",
         "faults/test_storage.py::test_a_database_that_is_locked_for_ten_seconds",
         f"{D}test_wake.py::test_a_database_that_another_has_locked_holds_the_caller_up_for_a_second_at_most")),
    Row(10, "the disk is full", "a sale's transaction is undone as a whole, its page says so with 503; the worker goes on once there is room",
        ("faults/test_storage.py::test_a_full_disk_refuses_sales_in_words_and_loses_none",
         "faults/test_storage.py::test_a_disk_that_is_full_for_a_minute",
         "faults/test_storage.py::test_a_disk_of_postgresql_that_is_full_for_a_minute",
         "webhookhub/test_errors.py::test_a_database_that_is_away_is_503_in_words")),
    Row(11, "the clock is set back by an hour", "a time further ahead than it can be is due",
        ("faults/test_clock.py::test_a_clock_that_is_set_back_and_forward_by_an_hour_keeps_nothing_waiting",
         f"{D}test_leases.py::test_a_lease_from_before_the_clock_was_set_back_has_run_out",
         f"{D}test_leases.py::test_a_next_try_from_before_the_clock_was_set_back_is_due",
         f"{D}test_wake.py::test_a_flag_from_before_the_clock_was_set_back_holds_nobody_up")),
    Row(12, "the clock is set forward", "leases end early: what is in flight may be sent twice, and its late outcome moves nothing",
        ("faults/test_clock.py::test_a_clock_that_is_set_back_and_forward_under_load",
         f"{D}test_leases.py::test_an_outcome_whose_claim_was_lost_is_kept_as_late_and_moves_nothing")),
    Row(13, "the name server is silent", "failed as DNS within the time limit",
        (f"{T}.py::test_a_silent_name_server_is_waited_for_no_longer_than_a_post_may_take",)),
    Row(14, "no such name", "never delivered: disabled after two look-ups; else after a day",
        (f"{T}.py::test_a_name_that_does_not_exist_is_told_from_a_failing_name_server",
         f"{D}test_disabling.py::test_a_host_that_never_existed_disables_it_on_two_tries_50_seconds_apart",
         f"{D}test_disabling.py::test_a_host_that_vanished_disables_it_after_a_day")),
    Row(15, "reset in the middle of the body", "failed as reset, its status kept",
        (f"{T}.py::test_a_break_in_the_body_leaves_status_and_beginning",)),
    Row(16, "2xx, and the body is cut short", "delivered, the body marked as cut",
        (f"{T}.py::test_a_body_that_ends_early_is_marked_cut",)),
    Row(17, "one byte a second", "ends at the time limit",
        (f"{T}_limits.py::test_an_answer_that_drips_ends_at_the_deadline",
         f"{T}_limits.py::test_an_accepted_post_whose_body_drips_is_accepted",
         f"{T}_tls.py::test_a_handshake_that_drips_ends_at_the_deadline",
         f"{T}_tls.py::test_an_answer_that_drips_through_tls_ends_at_the_deadline")),
    Row(18, "an endless body; a flood in gzip", "64 KiB are kept",
        (f"{T}_limits.py::test_of_an_endless_body_64_kib_are_kept", f"{T}_limits.py::test_of_a_packed_flood_64_kib_are_unpacked")),
    Row(19, "huge headers", "cut at 64 KiB, the status counts",
        (f"{T}_limits.py::test_huge_headers_are_cut_at_64_kib_and_the_status_counts",)),
    Row(20, "endless 100 Continue", "ends at the cap",
        (f"{T}_limits.py::test_endless_interim_answers_end_at_the_cap",)),
    Row(21, "103, then 500", "failed, and its connection is closed",
        (f"{T}_limits.py::test_after_another_interim_answer_the_post_is_over_and_so_is_its_connection",)),
    Row(22, "a second answer that nobody asked for", "is not taken for the next post's",
        (f"{T}_connections.py::test_an_unasked_second_answer_is_not_taken_for_the_next_posts",
         f"{T}_connections.py::test_configurations_do_not_share_connections")),
    Row(23, "odd statuses", "200 to 299 delivered, others failed, as they came",
        (f"{T}.py::test_every_final_status_comes_back_as_it_came", f"{D}test_retries.py::test_any_2xx_is_delivered")),
    Row(24, "redirects, endless ones too", "failed, not followed; an Apps Script's is delivered",
        (f"{T}.py::test_a_redirect_is_an_answer_and_is_not_followed", f"{D}test_engine.py::test_a_redirect_is_not_followed",
         f"{T}_limits.py::test_of_an_endless_body_64_kib_are_kept",
         f"{D}test_engine.py::test_the_redirect_by_which_an_apps_script_says_that_it_ran_is_delivered")),
    Row(25, "410", "disabled at the second, a minute later or more",
        (f"{D}test_disabling.py::test_the_second_410_disables_a_minute_later_and_holds_what_waits",)),
    Row(26, "Retry-After, sense and nonsense", "the schedule, or longer up to 2 h; a try counts",
        (f"{D}test_retries.py::test_whatever_the_header_holds_the_wait_lies_between_schedule_and_cap",
         f"{D}test_retries.py::test_a_retry_after_lengthens_the_wait",
         f"{D}test_retries.py::test_a_retry_after_adds_no_sixth_try")),
    Row(27, "certificates: ended, another's, unknown; TLS 1.1", "a failure with its name",
        (f"{T}_tls.py::test_a_certificate_that_ended_is_named_with_its_last_day",
         f"{T}_tls.py::test_a_certificate_for_another_host_is_named_with_its_names",
         f"{T}_tls.py::test_an_authority_that_nobody_knows_is_not_trusted",
         f"{T}_tls.py::test_a_server_that_speaks_tls_1_1_only_is_refused")),
    Row(28, "a kept connection is closed as we send", "one resend on a new one, the same attempt",
        (f"{T}_connections.py::test_a_kept_connection_that_is_closed_as_we_send_costs_one_resend",
         f"{T}_connections.py::test_once_a_byte_of_the_answer_came_nothing_is_sent_again")),
    Row(29, "a peer that never reads", "ends at the time limit",
        (f"{T}_limits.py::test_a_peer_that_never_reads_ends_at_the_deadline",)),
    Row(30, "a payload that cannot be made", "this one fails as ours; the others go",
        (f"{D}test_engine.py::test_a_poison_payload_fails_as_ours_and_the_others_go",
         f"{D}test_posting.py::test_a_key_that_cannot_be_decrypted_stops_only_its_own_posts",
         f"{D}test_leases.py::test_an_answer_that_the_database_refuses_is_kept_without_itself")),
    Row(31, "a configuration is edited or disabled in flight", "the post ends as it began; the next try is by the new facts, or held",
        (f"{D}test_engine.py::test_the_next_try_goes_to_the_url_of_then",
         f"{D}test_engine.py::test_what_fails_in_flight_while_its_configuration_goes_off_is_settled",
         f"{D}test_rotation.py::test_a_try_after_a_rotation_is_signed_with_the_new_secret")),
    Row(32, "a configuration is removed", "its history stays, nothing more is sent",
        (f"{D}test_engine.py::test_what_waits_is_discarded_with_its_configuration",
         f"{D}test_delivery_states.py::test_removing_discards_what_is_held")),
    Row(33, "a migration while the old version runs", "what is added is nullable or has a default of the database's",
        ("faults/test_table.py::test_what_a_migration_adds_an_older_version_can_leave_out",)),
    Row(34, "a bulk reprocess amid a drain", "what is being sent is skipped; each is sent once",
        (f"{D}test_bulk.py::test_what_waits_is_left_alone_and_what_is_being_sent_is_skipped",
         f"{D}test_bulk.py::test_two_that_start_at_once_take_each_post_once")),
    Row(35, "10,000 posts wait for a URL that hangs", "others hardly notice",
        (f"{D}test_engine.py::test_a_slow_receiver_does_not_hold_up_the_others",
         f"{D}test_own_queue.py::test_what_waited_before_it_had_its_own_queue_is_moved_aside_and_the_others_go")),
    Row(36, "our own network or name server is gone", "claiming stops, no try is used up, nobody is disabled; the first answer ends it",
        (f"{D}test_outage.py::test_where_all_are_out_of_reach_nothing_is_claimed_and_no_try_used_up",
         f"{D}test_outage.py::test_nobody_is_disabled_or_gets_a_mail_however_long_it_lasts",
         f"{D}test_outage.py::test_the_first_answer_ends_it_and_all_goes_by_itself",
         f"{D}test_disabling.py::test_a_name_server_that_fails_is_no_fault_of_the_url")),
    Row(37, "a frozen cluster", "its watchdog ends it, the supervisor starts a new one",
        (f"{D}test_cluster.py::test_idle_workers_killed_freeze_the_cluster_and_it_is_restarted",
         f"{D}test_cluster.py::test_a_frozen_cluster_can_be_told_to_stop",
         "faults/test_kills.py::test_the_end_of_a_frozen_cluster_cuts_off_no_post",
         "faults/test_kills.py::test_with_the_times_of_production_all_is_delivered_within_two_minutes")),
    Row(38, "power loss", "what was said to be committed is there; what comes twice was in flight",
        ("faults/test_storage.py::test_what_the_site_promised_is_there_after_a_power_loss",
         "faults/test_storage.py::test_where_commits_do_not_wait_for_the_disk_a_power_loss_takes_them",
         "faults/test_storage.py::test_a_power_loss_amid_posts_repeats_those_in_flight_alone",
         "faults/test_storage.py::test_ten_power_losses_at_random_moments",
         "faults/test_storage.py::test_the_mark_beside_the_database_is_on_the_disk_before_its_row",
         f"{D}test_writing.py::test_only_what_may_be_soon_does_not_wait_for_the_disk",
         f"{D}test_writing.py::test_a_sales_commit_waits_for_the_disk_and_a_claims_does_not")),
]  # fmt: skip


def markdown() -> str:
    lines = ["| # | fault | what happens | tests |", "|---|---|---|---|"]
    for row in TABLE:
        tests = "<br>".join(f"`{test}`" for test in row.tests)
        lines.append(f"| {row.number} | {row.fault} | {row.happens} | {tests} |")
    return "\n".join(lines)


def figures(rows: list[tuple[str, int, int, int, float, int]]) -> str:
    """Of a run: the fault, posts, how often it was done, repeats, the longest wait in seconds, restarts of clusters."""
    lines = [
        "| fault | posts | times | longest until delivered | repeats | clusters started again |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {fault} | {posts:,} | {times} | {longest:.1f} s | {repeats} | {restarts} |"
        for fault, posts, times, repeats, longest, restarts in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())

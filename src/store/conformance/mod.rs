//! The suite that every store must pass, whatever stands behind the trait.
//!
//! A store joins by a [`Subject`] and one line, `suite!(its_subject())`. Known differences of the memory store stand at
//! the top of its `people.rs`.

pub(super) mod claims;
pub(super) mod glance;
pub(super) mod keeping;
pub(super) mod leases;
pub(super) mod ledger;
mod model;
pub(super) mod pace;
pub(super) mod people;
mod scene;

pub(super) use scene::{Row, Subject, Table};

/// One test for each case, each on an empty store of its own.
macro_rules! suite {
    ($empty:expr) => {
        $crate::store::conformance::suite! { $empty =>
            claims: the_highest_priority_goes_first_and_then_the_oldest,
            claims: nobody_takes_more_than_there_is_room_for,
            claims: what_shares_a_provider_shares_its_free_calls,
            claims: what_is_not_due_or_not_wanted_stays,
            claims: a_job_is_claimed_once,
            claims: a_new_run_has_the_links_that_the_override_bends,
            claims: where_nothing_may_begin_what_was_bought_is_taken_up,
            claims: refusals_of_earlier_runs_come_with_the_claim,
            claims: the_next_due_time_and_the_count_of_what_is_due,
            leases: a_renewal_brings_back_what_is_still_held,
            leases: a_lease_that_ended_is_taken_over_with_its_open_run,
            leases: a_worker_does_not_take_over_what_it_holds,
            leases: the_leases_of_a_dead_worker_are_ended_at_once,
            leases: a_lease_beyond_reason_is_none,
            leases: a_job_that_killed_two_runs_alone,
            leases: nothing_overtakes_a_job_that_must_be_alone,
            ledger: a_paid_call_begins_under_a_lease_only,
            ledger: an_accepted_operation_is_in_the_adopted_run,
            ledger: the_first_verdict_wins,
            ledger: a_stale_worker_writes_nothing_but_its_verdict,
            ledger: two_ends_of_one_job_in_one_transaction_are_told_apart,
            ledger: a_delivery_changes_everything_at_once,
            ledger: a_job_that_nobody_could_make_is_a_persons,
            ledger: a_job_may_fail_instead,
            ledger: a_job_that_comes_back_keeps_its_override_and_counts,
            ledger: a_job_that_is_handed_back_does_not_count,
            ledger: a_call_is_abandoned_where_its_run_has_ended,
            ledger: a_call_that_nobody_speaks_of_any_more_is_settled,
            ledger: failures_open_the_breaker_and_the_answer_says_so,
            pace: no_more_calls_are_under_way_than_may_be,
            pace: a_window_holds_so_many_calls_and_opens_as_the_oldest_leaves_it,
            pace: calls_of_an_hour_ago_are_forgotten_unless_they_are_under_way,
            pace: a_dead_workers_calls_make_room_when_its_lease_ends,
            pace: an_accepted_call_keeps_its_place_under_the_next_lease,
            pace: a_clock_that_was_wrong_blocks_no_provider,
            pace: what_is_not_bounded_is_not_counted,
            people: a_cancellation_ends_the_run_and_the_lease,
            people: a_retry_begins_a_new_life,
            people: a_person_provides_the_asset,
            people: a_file_of_the_vault_ends_an_open_run_too,
            people: what_the_contract_refuses,
            people: a_dedupe_key_lives_as_long_as_its_job,
            people: a_request_with_a_key_adds_one_job,
            people: a_running_job_is_not_deleted_and_a_deleted_one_is_gone,
            people: a_job_may_be_put_off,
            people: what_people_read,
            glance: days_remember_how_walks_ended,
            glance: the_backlog_is_what_is_not_settled,
            glance: calls_are_listed_newest_first,
            glance: slugs_are_searched_by_their_beginning,
            glance: listings_filter_and_go_on,
            keeping: a_tick_enqueues_once,
            keeping: a_tick_whose_job_collides_counts_as_done,
            keeping: a_notice_is_told_once,
            keeping: a_notice_is_tried_by_one_daemon_at_a_time,
            keeping: a_topic_is_told_once,
            keeping: a_provider_that_opens_and_closes_is_news,
            keeping: old_rows_go_and_what_waits_stays,
            keeping: the_probe_is_leased_to_one_job,
            keeping: a_probe_that_came_to_nothing_is_given_back,
            keeping: a_pause_and_a_reset,
            keeping: the_version_moves_with_every_write,
            keeping: the_pulse_is_when_runs_began_and_ended,
        }
    };
    ($empty:expr => $($file:ident: $case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::store::conformance::$file::$case($empty.await).await;
            }
        )*
    };
}
pub(in crate::store) use suite;

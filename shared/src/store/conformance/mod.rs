//! The suite that every store must pass: one test a case and dialect.

mod cancelling;
mod census;
mod client_moves;
mod first_claims;
mod fixture;
mod groups;
mod keeping;
mod keys;
mod leases;
mod model;
mod reading;
mod running;
mod streaming;
mod submitting;
mod suspects;

pub(crate) use fixture::new_job;
use fixture::{Fixture, postgres, sqlite};
pub(super) use fixture::{empty_postgres, finish};

/// Makes a test of each case, in a module of this name, for the stores that this makes.
macro_rules! store_conforms {
    ($dialect:ident, $make:ident, $($room:ident { $($case:ident)+ })+) => {
        mod $dialect {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$room::$case(&super::$make().await).await;
                }
            )+)+
        }
    };
}

/// Makes a test of each case for each dialect.
macro_rules! stores_conform {
    ($($rooms:tt)+) => {
        store_conforms! { in_sqlite, sqlite, $($rooms)+ }
        store_conforms! { in_postgres, postgres, $($rooms)+ }
    };
}

// The other claims none of them.
store_conforms! {
    only_in_sqlite, sqlite,
    first_claims {
        what_is_claimed_as_it_is_stored_is_as_any_claim_has_it
        a_first_claim_asked_twice_gives_the_same_jobs
        nothing_new_is_claimed_without_a_live_lease
        only_what_is_stored_is_claimed
    }
}

stores_conform! {
    submitting {
        a_job_reads_back_as_it_was_submitted
        a_group_is_stored_as_a_whole
        an_insert_asked_twice_stores_once
        a_group_of_which_one_is_there_adds_the_others
        a_large_payload_reaches_the_claim_byte_for_byte
    }
    groups {
        groups_of_every_size_go_their_way
        a_stale_end_beside_the_newest_is_told_apart
        a_bad_write_takes_no_other_with_it
    }
    keys {
        one_job_a_key_however_many_ask
        another_request_under_a_key_is_told_apart
        a_key_is_found_while_it_is_remembered
        a_key_is_forgotten_when_its_time_is_over
        a_unique_key_is_held_while_its_job_is_active
        a_window_holds_whatever_becomes_of_the_job
        a_waiting_job_is_replaced
        all_or_none_leaves_nothing_behind
        api_keys_are_kept_and_revoked
    }
    client_moves {
        a_retry_sends_a_finished_job_round_again
        only_finished_jobs_are_deleted
        many_are_moved_at_once
    }
    leases {
        an_ended_lease_never_comes_back
        nothing_is_claimed_without_a_live_lease
        old_leases_are_forgotten_only_without_jobs
    }
    running {
        a_claim_takes_queued_jobs_of_its_kinds_once
        a_claimed_job_that_makes_no_sense_fails_alone
        a_claim_whose_answer_was_lost_gives_the_same_jobs
        claims_side_by_side_take_each_job_once
        a_result_reads_back_byte_for_byte
        only_the_newest_attempt_finishes
        a_finish_asked_twice_is_recorded_once
        a_retry_waits_for_its_time_and_keeps_its_history
        a_failed_job_keeps_its_failure
        a_released_attempt_does_not_count
        a_release_asked_again_leaves_the_next_attempt_alone
        progress_is_the_newest_attempts
        logs_are_kept_in_order_and_once
    }
    cancelling {
        a_cancel_is_obeyed_in_every_state
        a_job_told_to_stop_is_not_tried_again
        the_answer_to_a_cancel_agrees_with_the_final_state
    }
    suspects {
        an_ordinary_claim_leaves_suspects_alone
        suspects_are_told_with_their_chances
        a_claim_of_suspects_whose_answer_was_lost_gives_the_same_jobs
    }
    streaming {
        a_large_result_is_read_piece_by_piece
        a_result_is_written_piece_by_piece
        a_stale_attempt_writes_nothing
        what_earlier_attempts_left_is_not_seen
    }
    keeping {
        a_dead_workers_jobs_are_rescued
        a_job_that_kills_its_workers_ends
        a_dead_workers_cancelled_job_is_cancelled
        jobs_out_of_time_fail
        expired_jobs_are_forgotten_with_all_that_is_theirs
        lanes_and_their_oldest_jobs_are_found
        foreign_kinds_are_told
        unfinished_jobs_of_a_tenant_are_counted
    }
    reading {
        pages_follow_one_another_newest_first
        filters_narrow_a_list
        another_tenant_sees_nothing
        a_crowd_is_told_each_its_own
        queues_and_kinds_are_catalogued
    }
    census {
        jobs_are_counted_by_queue_and_state_while_they_are_active
        a_tenants_census_has_its_own_jobs_alone
        a_count_is_followed_by_a_pause
    }
    model {
        random_walks_agree_with_the_state_machine
    }
}

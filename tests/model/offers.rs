//! What can happen next.

use crate::{
    protocol::{MOST_HINTS, Protocol},
    state::{Hand, Health, State, Step, System, Worker},
};

type Sys<const J: usize, const W: usize> = System<J, W>;

impl<const JOBS: usize, const WORKERS: usize> Protocol<JOBS, WORKERS> {
    /// Every step that can be made.
    pub(crate) fn offer(&self, system: &Sys<JOBS, WORKERS>, steps: &mut Vec<Step>) {
        self.offer_for_jobs(system, steps);
        for worker in 0..WORKERS {
            self.offer_for_worker(system, worker, steps);
        }
        for lease in 1..system.next_lease {
            let is_kept = system
                .workers
                .iter()
                .any(|worker| worker.health == Health::Up && worker.lease == lease);
            if !is_kept && !system.has_ended(lease) {
                steps.push(Step::EndLease(lease));
            }
        }
    }

    fn is_poison(&self, job: usize) -> bool {
        job < self.poisons
    }

    fn offer_for_jobs(&self, system: &Sys<JOBS, WORKERS>, steps: &mut Vec<Step>) {
        for (job, row) in system.rows.iter().enumerate() {
            if row.state == State::Absent {
                steps.push(Step::Commit(job));
            }
            if system.unpushed[job] {
                steps.push(Step::Push(job));
                if system.faults > 0 {
                    steps.push(Step::LosePush(job));
                }
            }
            if system.cancels > 0 && row.state.is_active() && !row.cancel_requested {
                steps.push(Step::Cancel(job));
            }
            let hints = system.hints[job];
            if hints > 0 && system.faults > 0 {
                steps.push(Step::LoseHint(job));
                if hints < MOST_HINTS {
                    steps.push(Step::DoubleHint(job));
                }
            }
            let is_hinted = hints > 0 || system.unpushed[job];
            let is_suspect = self.guards.suspects_run_apart && row.crashes > 0;
            if self.guards.dispatcher
                && row.state == State::Queued
                && !is_hinted
                && !is_suspect
                && !self.is_in_some_hand(system, job)
            {
                steps.push(Step::Dispatch(job));
            }
            if self.guards.rescuer && row.state == State::Running && system.has_ended(row.lease) {
                steps.push(Step::Rescue(job));
            }
        }
    }

    /// A hint in the hand of a process that runs is not pushed again within the grace: pushing it
    /// all the same does no harm, but would make paths without an end.
    fn is_in_some_hand(&self, system: &Sys<JOBS, WORKERS>, job: usize) -> bool {
        system
            .workers
            .iter()
            .any(|worker| worker.health == Health::Up && worker.hands[job] == Hand::Popped)
    }

    fn offer_for_worker(&self, system: &Sys<JOBS, WORKERS>, index: usize, steps: &mut Vec<Step>) {
        let worker = &system.workers[index];
        match worker.health {
            Health::Down => return steps.push(Step::Restart(index)),
            Health::Paused => return steps.push(Step::Resume(index)),
            Health::Up => {}
        }
        if system.has_ended(worker.lease) {
            steps.push(Step::NoticeLoss(index));
        }
        if system.faults > 0 {
            steps.push(Step::Kill(index));
            steps.push(Step::Pause(index));
        }
        for job in 0..JOBS {
            self.offer_for_hand(system, index, job, steps);
        }
    }

    fn offer_for_hand(
        &self,
        system: &Sys<JOBS, WORKERS>,
        index: usize,
        job: usize,
        steps: &mut Vec<Step>,
    ) {
        let worker = &system.workers[index];
        let faulty = system.faults > 0;
        // It would take and lose hints for ever: that is the fault of losing one.
        let ended = system.has_ended(worker.lease);
        match worker.hands[job] {
            Hand::Empty => {
                if system.hints[job] > 0 && !ended && !self.holds_suspect(system, worker) {
                    steps.push(Step::Pop(index, job));
                }
                let row = &system.rows[job];
                let is_waiting_suspect = row.state == State::Queued && row.crashes > 0;
                if self.guards.suspects_run_apart
                    && is_waiting_suspect
                    && !ended
                    && worker.hands.iter().all(|hand| *hand == Hand::Empty)
                {
                    steps.push(Step::ClaimSuspect(index, job));
                }
            }
            Hand::Popped | Hand::Unanswered => {
                steps.push(Step::Claim(index, job));
                if faulty && worker.hands[job] == Hand::Popped {
                    steps.push(Step::LoseClaimReply(index, job));
                }
            }
            Hand::Running(..) if self.is_poison(job) => steps.push(Step::Poison(index, job)),
            Hand::Running(..) => {
                steps.push(Step::Succeed(index, job));
                steps.push(Step::Retry(index, job));
                if system.rows[job].cancel_requested {
                    steps.push(Step::Stop(index, job));
                }
                if faulty {
                    steps.push(Step::Release(index, job));
                    steps.push(Step::LoseEndReply(index, job));
                }
            }
            Hand::Unconfirmed(..) => steps.push(Step::Confirm(index, job)),
        }
    }

    fn holds_suspect(&self, system: &Sys<JOBS, WORKERS>, worker: &Worker<JOBS>) -> bool {
        self.guards.suspects_run_apart
            && (0..JOBS).any(|job| {
                matches!(worker.hands[job], Hand::Running(..)) && system.rows[job].crashes > 0
            })
    }
}

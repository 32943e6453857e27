//! The protocol: what each step does.

use stateright::{Model, Property};

use crate::{
    properties,
    state::{Hand, Health, Row, State, Step, System, Worker, Wrong},
};

/// After so many crashes a job is held to be their cause.
pub(crate) const CRASH_LIMIT: u8 = 3;
/// As many hints of one job as may lie in the queue at once.
pub(crate) const MOST_HINTS: u8 = 2;

/// What keeps the guarantees: each can be taken out, to see what is lost then.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// A finish names the attempt and the lease that it expects.
    pub attempt: bool,
    /// A claim names the state that it expects.
    pub claim: bool,
    /// A job without a hint gets another.
    pub dispatcher: bool,
    /// Jobs of ended leases are taken back.
    pub rescuer: bool,
    /// A job that was rescued runs apart from all others.
    pub suspects_run_apart: bool,
}

impl Guards {
    /// All of them.
    pub const ALL: Self = Self {
        attempt: true,
        claim: true,
        dispatcher: true,
        rescuer: true,
        suspects_run_apart: true,
    };
}

/// The protocol between `JOBS` jobs and `WORKERS` worker processes.
#[derive(Clone, Debug)]
pub struct Protocol<const JOBS: usize, const WORKERS: usize> {
    /// What keeps the guarantees.
    pub guards: Guards,
    /// How many faults may happen in all.
    pub faults: u8,
    /// How many jobs clients may call off.
    pub cancels: u8,
    /// How many attempts a job has.
    pub max_attempts: u8,
    /// How many of the jobs, the first ones, kill every worker that runs them.
    pub poisons: usize,
}

type Sys<const J: usize, const W: usize> = System<J, W>;

impl<const JOBS: usize, const WORKERS: usize> Protocol<JOBS, WORKERS> {
    /// The claim's one statement; true where it took the job.
    fn claim(&self, system: &mut Sys<JOBS, WORKERS>, lease: u8, job: usize, suspect: bool) -> bool {
        let ended = system.has_ended(lease);
        let row = &mut system.rows[job];
        let state_fits =
            row.state == State::Queued || (!self.guards.claim && row.state.is_active());
        let is_sort = !self.guards.suspects_run_apart || (row.crashes > 0) == suspect;
        if !state_fits || ended || !is_sort {
            return false;
        }
        row.state = State::Running;
        row.attempt += 1;
        row.lease = lease;
        true
    }

    /// A worker begins to run what it has claimed.
    fn begin(&self, system: &mut Sys<JOBS, WORKERS>, index: usize, job: usize) {
        let row = &mut system.rows[job];
        row.charged += 1;
        if row.charged > self.max_attempts {
            system.wrong = Some(Wrong::LateStart);
        }
        system.workers[index].hands[job] = Hand::Running(row.attempt, row.lease);
    }

    /// The guarded write of an attempt's end; true where it moved the row.
    fn end(
        &self,
        system: &mut Sys<JOBS, WORKERS>,
        job: usize,
        (attempt, lease): (u8, u8),
        make: impl FnOnce(&mut Row),
    ) -> bool {
        let row = &mut system.rows[job];
        let is_newest = row.attempt == attempt && row.lease == lease;
        if row.state != State::Running || (self.guards.attempt && !is_newest) {
            return false;
        }
        make(row);
        if !is_newest {
            system.wrong = Some(Wrong::StaleEnd);
        }
        true
    }

    /// Back into the queue where that is possible.
    fn requeue(&self, row: &mut Row) {
        row.state = if row.cancel_requested {
            State::Cancelled
        } else if row.attempt >= self.max_attempts || row.crashes >= CRASH_LIMIT {
            State::Failed
        } else {
            State::Queued
        };
    }

    fn make_ready(system: &mut Sys<JOBS, WORKERS>, job: usize) {
        system.unpushed[job] = system.rows[job].state == State::Queued;
    }

    fn rescue(&self, system: &mut Sys<JOBS, WORKERS>, job: usize) {
        let row = &mut system.rows[job];
        row.crashes += 1;
        row.lease = 0;
        self.requeue(row);
        // The hint of a suspect is of no use: workers look for suspects in the store.
        if !self.guards.suspects_run_apart {
            Self::make_ready(system, job);
        }
    }

    fn work(&self, system: &mut Sys<JOBS, WORKERS>, step: Step) {
        match step {
            Step::Pop(worker, job) => {
                system.hints[job] -= 1;
                system.workers[worker].hands[job] = Hand::Popped;
            }
            Step::Claim(worker, job) => {
                let lease = system.workers[worker].lease;
                let row = system.rows[job];
                let mine = system.workers[worker].hands[job] == Hand::Unanswered
                    && row.state == State::Running
                    && row.lease == lease;
                system.workers[worker].hands[job] = Hand::Empty;
                if mine || self.claim(system, lease, job, false) {
                    self.begin(system, worker, job);
                }
            }
            Step::ClaimSuspect(worker, job) => {
                let lease = system.workers[worker].lease;
                if self.claim(system, lease, job, true) {
                    self.begin(system, worker, job);
                }
            }
            Step::LoseClaimReply(worker, job) => {
                let lease = system.workers[worker].lease;
                self.claim(system, lease, job, false);
                system.workers[worker].hands[job] = Hand::Unanswered;
            }
            Step::Poison(worker, _) => kill(system, worker),
            _ => {}
        }
    }

    fn finish(&self, system: &mut Sys<JOBS, WORKERS>, step: Step) {
        let (Step::Succeed(worker, job)
        | Step::Retry(worker, job)
        | Step::Stop(worker, job)
        | Step::Release(worker, job)
        | Step::LoseEndReply(worker, job)
        | Step::Confirm(worker, job)) = step
        else {
            return;
        };
        let hand = system.workers[worker].hands[job];
        let (Hand::Running(attempt, lease) | Hand::Unconfirmed(attempt, lease)) = hand else {
            return;
        };
        let token = (attempt, lease);
        let mut left = Hand::Empty;
        match step {
            Step::Succeed(..) => {
                self.end(system, job, token, |row| row.state = State::Succeeded);
            }
            Step::Stop(..) => {
                self.end(system, job, token, |row| row.state = State::Cancelled);
            }
            Step::Retry(..) => {
                if self.end(system, job, token, |row| self.requeue(row)) {
                    Self::make_ready(system, job);
                }
            }
            Step::Release(..) => {
                let released = self.end(system, job, token, |row| {
                    if !row.cancel_requested {
                        row.attempt -= 1;
                        row.charged -= 1;
                    }
                    row.state = if row.cancel_requested {
                        State::Cancelled
                    } else {
                        State::Queued
                    };
                });
                if released {
                    Self::make_ready(system, job);
                }
            }
            Step::LoseEndReply(..) => {
                self.end(system, job, token, |row| row.state = State::Succeeded);
                left = Hand::Unconfirmed(attempt, lease);
            }
            _ => {
                // Asked again: recorded now, recorded before, or stale.
                let row = system.rows[job];
                let is_newest = row.attempt == attempt && row.lease == lease;
                let recorded = self.end(system, job, token, |row| row.state = State::Succeeded);
                let was_recorded = row.state == State::Succeeded && is_newest;
                if !recorded && !was_recorded && row.state == State::Running && is_newest {
                    system.wrong = Some(Wrong::EndDisowned);
                }
            }
        }
        system.workers[worker].hands[job] = left;
    }

    fn happen(&self, system: &mut Sys<JOBS, WORKERS>, step: Step) {
        match step {
            Step::Commit(job) => {
                system.rows[job].state = State::Queued;
                system.unpushed[job] = true;
            }
            Step::Push(job) => {
                system.unpushed[job] = false;
                system.hints[job] = MOST_HINTS.min(system.hints[job] + 1);
            }
            Step::Cancel(job) => {
                system.cancels -= 1;
                let row = &mut system.rows[job];
                match row.state {
                    State::Running => row.cancel_requested = true,
                    _ => row.state = State::Cancelled,
                }
            }
            Step::Dispatch(job) => system.hints[job] += 1,
            Step::Rescue(job) => self.rescue(system, job),
            Step::EndLease(lease) => system.ended_leases |= 1 << lease,
            Step::Restart(worker) => open_lease(system, worker),
            Step::Resume(worker) => system.workers[worker].health = Health::Up,
            Step::NoticeLoss(worker) => open_lease(system, worker),
            Step::LosePush(job) => system.unpushed[job] = false,
            Step::LoseHint(job) => system.hints[job] -= 1,
            Step::DoubleHint(job) => system.hints[job] += 1,
            Step::Kill(worker) => kill(system, worker),
            Step::Pause(worker) => system.workers[worker].health = Health::Paused,
            _ => {
                self.work(system, step);
                self.finish(system, step);
            }
        }
    }
}

fn kill<const J: usize, const W: usize>(system: &mut Sys<J, W>, worker: usize) {
    system.workers[worker].health = Health::Down;
    system.workers[worker].hands = [Hand::Empty; J];
}

fn open_lease<const J: usize, const W: usize>(system: &mut Sys<J, W>, worker: usize) {
    system.workers[worker] = Worker {
        health: Health::Up,
        lease: system.next_lease,
        hands: [Hand::Empty; J],
    };
    system.next_lease += 1;
}

const fn is_fault(step: Step) -> bool {
    matches!(
        step,
        Step::LosePush(_)
            | Step::LoseHint(_)
            | Step::DoubleHint(_)
            | Step::LoseClaimReply(..)
            | Step::LoseEndReply(..)
            | Step::Release(..)
            | Step::Kill(_)
            | Step::Pause(_)
    )
}

impl<const JOBS: usize, const WORKERS: usize> Model for Protocol<JOBS, WORKERS> {
    type State = System<JOBS, WORKERS>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        let row = Row {
            state: State::Absent,
            attempt: 0,
            lease: 0,
            crashes: 0,
            cancel_requested: false,
            charged: 0,
        };
        let mut system = System {
            rows: [row; JOBS],
            hints: [0; JOBS],
            unpushed: [false; JOBS],
            workers: [Worker {
                health: Health::Down,
                lease: 0,
                hands: [Hand::Empty; JOBS],
            }; WORKERS],
            ended_leases: 0,
            next_lease: 1,
            faults: self.faults,
            cancels: self.cancels,
            wrong: None,
        };
        for worker in 0..WORKERS {
            open_lease(&mut system, worker);
        }
        vec![system]
    }

    fn actions(&self, system: &Self::State, steps: &mut Vec<Step>) {
        if system.wrong.is_some() {
            return;
        }
        self.offer(system, steps);
    }

    fn next_state(&self, before: &Self::State, step: Step) -> Option<Self::State> {
        let mut system = before.clone();
        if is_fault(step) {
            system.faults -= 1;
        }
        self.happen(&mut system, step);
        let moved_on = before
            .rows
            .iter()
            .zip(&system.rows)
            .any(|(was, is)| was.state.is_terminal() && was != is);
        if moved_on {
            system.wrong = Some(Wrong::EndChanged);
        }
        Some(system)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

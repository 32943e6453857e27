//! What can happen, what it does, and what must hold.

use stateright::{Model, Property};

use crate::state::{Hand, Health, Row, State, Step, System, Worker, Wrong};

/// After so many crashes a job is held to be their cause.
const CRASH_LIMIT: u8 = 3;
/// As many hints of one job as may lie in the queue at once.
const MOST_HINTS: u8 = 2;

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
        vec![
            Property::always("nothing goes wrong", |_, system: &Self::State| {
                system.wrong.is_none()
            }),
            Property::always(
                "where nothing can happen, every job has ended",
                |model: &Self, system: &Self::State| {
                    let mut steps = Vec::new();
                    model.actions(system, &mut steps);
                    !steps.is_empty()
                        || system.wrong.is_some()
                        || system.rows.iter().all(|row| row.state.is_terminal())
                },
            ),
            Property::always(
                "a job is run by one live lease at a time",
                |_, system: &Self::State| {
                    (0..JOBS).all(|job| {
                    let runs = system.workers.iter().filter(|worker| {
                        matches!(worker.hands[job], Hand::Running(_, lease) if !system.has_ended(lease))
                    });
                    runs.count() <= 1
                })
                },
            ),
            Property::always(
                "a neighbour of a killer does not fail",
                |model: &Self, system: &Self::State| {
                    model.poisons == 0
                        || system.rows[model.poisons..]
                            .iter()
                            .all(|row| row.crashes < CRASH_LIMIT)
                },
            ),
            Property::always(
                "a killer ends by its third crash",
                |model: &Self, system: &Self::State| {
                    system.rows[..model.poisons]
                        .iter()
                        .all(|row| row.crashes <= CRASH_LIMIT && row.state != State::Succeeded)
                },
            ),
            Property::sometimes(
                "every job succeeds",
                |model: &Self, system: &Self::State| {
                    model.poisons > 0 || system.rows.iter().all(|row| row.state == State::Succeeded)
                },
            ),
        ]
    }
}

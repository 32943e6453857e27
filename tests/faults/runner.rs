//! Plays rounds, in worlds side by side.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use coatcheck_tests::Result;
use tokio::task::JoinSet;

use super::{
    fault::Fault,
    history::JobSeen,
    machine::{Machine, SmallDisk},
    oracle::{Promise, Violation},
    report,
    round::{self, Outcome, Played},
    scenarios::Scenario,
    world::{Plan, World},
};

/// All of it.
pub(crate) struct Run {
    binary: PathBuf,
    machine: Machine,
    seed: u64,
    rounds: u64,
    /// The number of the round that nobody has begun yet.
    next: AtomicU64,
    epoch: Instant,
}

impl Run {
    pub(crate) fn new(binary: PathBuf, machine: Machine, seed: u64, rounds: u64) -> Arc<Self> {
        Arc::new(Self {
            binary,
            machine,
            seed,
            rounds,
            next: AtomicU64::new(0),
            epoch: Instant::now(),
        })
    }

    /// Plays every round; what each has shown, in their order.
    pub(crate) async fn rounds(self: &Arc<Self>, faults: &[Fault], worlds: usize) -> Vec<Outcome> {
        let mut tasks = JoinSet::new();
        for _ in 0..worlds {
            let (run, faults) = (self.clone(), faults.to_vec());
            tasks.spawn(async move { run.play_in_one_world(&faults).await });
        }
        let mut outcomes = tasks.join_all().await.concat();
        outcomes.sort_by_key(|outcome| outcome.seed);
        outcomes
    }

    /// One world for as many rounds as it lasts, and another where it does not heal.
    async fn play_in_one_world(&self, faults: &[Fault]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut keep = |outcome: Outcome| {
            println!("{}", report::line(&outcome));
            outcomes.push(outcome);
        };
        let mut shared = Place::default();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.rounds {
                break;
            }
            let seed = self.seed.wrapping_add(number);
            let fault = faults[usize::try_from(seed).unwrap_or(0) % faults.len()];
            let mut own = Place::default();
            let place = if fault == Fault::DiskFull {
                &mut own
            } else {
                &mut shared
            };
            keep(self.play(place, fault, seed).await);
        }
        if let Some(outcome) = shared.close(self.seed).await {
            keep(outcome);
        }
        outcomes
    }

    async fn play(&self, place: &mut Place, fault: Fault, seed: u64) -> Outcome {
        match self.try_to_play(place, fault, seed).await {
            Ok(Played { outcome, jobs }) => {
                place
                    .ends
                    .extend(jobs.into_iter().map(|job| (job.id.clone(), job)));
                if !outcome.violations.is_empty()
                    && let Some(world) = &mut place.world
                {
                    println!("   its files are kept in {}", world.keep_files().display());
                }
                outcome
            }
            Err(error) => {
                if let Some(mut world) = place.world.take() {
                    println!("   its files are kept in {}", world.keep_files().display());
                }
                place.ends.clear();
                Outcome::broken(fault, seed, format!("the world did not heal: {error}"))
            }
        }
    }

    async fn try_to_play(&self, place: &mut Place, fault: Fault, seed: u64) -> Result<Played> {
        let world = match &mut place.world {
            Some(world) => world,
            none => {
                let mut plan = Plan::default();
                if fault == Fault::DiskFull {
                    plan.disk = Some(SmallDisk::mount()?);
                }
                none.insert(World::start(&self.binary, plan).await?)
            }
        };
        round::play(world, &self.machine, fault, seed, self.epoch).await
    }

    /// Plays a scenario and prints what it has shown; whether all was well.
    pub(crate) async fn scenario(&self, scenario: Scenario) -> bool {
        println!("\n{}", scenario.name());
        match scenario.play(&self.binary).await {
            Ok(shown) => {
                for (name, value) in &shown.rows {
                    println!("  {name:<60} {value:>12}");
                }
                for what in &shown.unmet {
                    println!("  VIOLATION {what}");
                }
                shown.unmet.is_empty()
            }
            Err(error) => {
                println!("  VIOLATION {error}");
                false
            }
        }
    }
}

/// A world and every end that its rounds have seen.
#[derive(Default)]
struct Place {
    world: Option<World>,
    ends: BTreeMap<String, JobSeen>,
}

impl Place {
    /// One reading of all jobs of all rounds: an end of the first must still stand after the last.
    async fn close(self, seed: u64) -> Option<Outcome> {
        let world = self.world?;
        let mut outcome = Outcome::broken(Fault::KillApi, seed, String::new());
        outcome.violations.clear();
        match round::all_jobs(&world).await {
            Ok(jobs) => {
                let jobs: BTreeMap<String, JobSeen> =
                    jobs.into_iter().map(|job| (job.id.clone(), job)).collect();
                for (id, end) in &self.ends {
                    if jobs.get(id) != Some(end) {
                        outcome.violations.push(Violation {
                            promise: Promise::TerminalChanged,
                            what: format!("{end:?} reads {:?} after the last round", jobs.get(id)),
                        });
                    }
                }
            }
            Err(error) => outcome.violations.push(Violation {
                promise: Promise::Lost,
                what: format!("the jobs of all rounds cannot be read: {error}"),
            }),
        }
        (!outcome.violations.is_empty()).then_some(outcome)
    }
}

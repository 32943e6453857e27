//! Looks at the product while something is away.

use std::time::{Duration, Instant};

use coatcheck_tests::{
    Result,
    client::{Answer, Client},
};
use serde_json::json;

use super::world::World;

/// What was to be seen, and was not.
#[derive(Default)]
pub(crate) struct Unmet(pub(crate) Vec<String>);

impl Unmet {
    /// Notes it unless it is so.
    pub(crate) fn expect(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.0.push(what());
        }
    }
}

/// Every API takes a job in, in time.
pub(crate) async fn submits_within(
    world: &World,
    limit: Duration,
    unmet: &mut Unmet,
) -> Result<()> {
    for api in &world.apis {
        let (answer, took) = submit(&Client::new(api.address)?).await?;
        unmet.expect(answer.status == 202 && took < limit, || {
            format!("a submission was answered {} after {took:?}", answer.status)
        });
    }
    Ok(())
}

/// Every API refuses in time and in good order while the database is away, and says that it lives.
pub(crate) async fn refuses_within(
    world: &World,
    limit: Duration,
    unmet: &mut Unmet,
) -> Result<()> {
    for api in &world.apis {
        let client = Client::new(api.address)?;
        let (answer, took) = submit(&client).await?;
        let told = !answer.header("retry-after").is_empty();
        unmet.expect(answer.status == 503 && told && took < limit, || {
            let status = answer.status;
            format!("without the database: {status}, Retry-After {told}, after {took:?}")
        });
        for (path, status) in [("/livez", 200), ("/readyz", 503)] {
            let answer = client.get(path).await?;
            unmet.expect(answer.status == status, || {
                format!("without the database {path} was answered {}", answer.status)
            });
        }
    }
    Ok(())
}

/// What a submission is answered, and after how long.
async fn submit(client: &Client) -> Result<(Answer, Duration)> {
    let submission = json!({"kind": "sleep", "payload": {"ms": 0}});
    let begun = Instant::now();
    let answer = client.post("/v1/jobs", &submission).await?;
    Ok((answer, begun.elapsed()))
}

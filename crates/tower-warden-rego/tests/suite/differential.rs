//! The verdicts of random requests, compared with those of another implementation of Rego.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use http::Request;
use serde_json::{Map, Value, json};
use tower_warden::{
    Digest,
    api_key::NewKey,
    certificate::{ChainStatus, PeerCertificate},
    scope::Scopes,
};
use tower_warden_rego::Tool;

use crate::support::{Caller, gateways};

const REQUESTS: usize = 500;

/// A generator of numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A request, with the properties that the policy reads.
#[derive(Debug)]
struct Case {
    scopes: Vec<&'static str>,
    tenant: Option<&'static str>,
    tool: Option<(&'static str, Option<&'static str>)>,
    chain: Option<ChainStatus>,
}

impl Case {
    fn random(numbers: &mut Numbers) -> Self {
        let all = ["mcp:invoke", "mcp:read", "mcp:invoke:all", "MCP:invoke"];
        let scopes = all.into_iter().filter(|_| numbers.below(2) == 0).collect();
        let tenants = [Some("acme"), Some("acme"), Some("other"), Some("Acme"), None];
        let name = numbers.one_of(&["list-users", "delete-user", "delete-user", "delete-users"]);
        let tool = (numbers.below(10) > 0).then(|| (name, numbers.one_of(&tenants)));
        let chain = numbers.one_of(&[None, Some(ChainStatus::Unverified), Some(ChainStatus::Verified)]);
        Self { scopes, tenant: numbers.one_of(&tenants), tool, chain }
    }

    /// The part of the input that the policy reads.
    fn input(&self) -> Value {
        let mut agent = Map::from_iter([("scopes".to_owned(), json!(self.scopes))]);
        agent.extend(self.tenant.map(|tenant| ("tenant".to_owned(), tenant.into())));
        let request = json!({ "cert_verified": self.chain == Some(ChainStatus::Verified) });
        let mut input = Map::from_iter([("agent".to_owned(), agent.into()), ("request".to_owned(), request)]);
        input.extend(self.tool.map(|(name, namespace)| {
            let mut tool = Map::from_iter([("name".to_owned(), name.into())]);
            tool.extend(namespace.map(|namespace| ("namespace".to_owned(), namespace.into())));
            ("tool".to_owned(), tool.into())
        }));
        input.into()
    }

    async fn statuses(&self) -> [u16; 2] {
        let scopes: Scopes = Scopes::parse(&self.scopes.join(" ")).unwrap();
        let key = NewKey::new("agent-7").scopes(scopes);
        let caller = Caller::new(match self.tenant {
            Some(tenant) => key.tenant(tenant),
            None => key,
        });
        let caller = caller.await;
        let request = || {
            let mut request = Request::post("/mcp");
            if let Some((name, namespace)) = self.tool {
                let tool = Tool::new(name);
                request = request.extension(match namespace {
                    Some(namespace) => tool.namespace(namespace),
                    None => tool,
                });
            }
            match self.chain {
                Some(chain) => request.extension(PeerCertificate::from_thumbprint(Digest::of(b"certificate"), chain)),
                None => request,
            }
        };
        let [current, v0] = gateways();
        [caller.send(current, request()).await.status, caller.send(v0, request()).await.status]
    }
}

/// The verdicts of the package `regopy`, which is in the folder that `TOWER_WARDEN_REGOPY` names, or installed.
fn others(policy: &str, inputs: &[Value]) -> Vec<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut command = Command::new("python3");
    if let Some(folder) = std::env::var_os("TOWER_WARDEN_REGOPY") {
        command.env("PYTHONPATH", folder);
    }
    let mut child = command
        .arg(format!("{root}/tests/regopy/evaluate.py"))
        .arg(format!("{root}/tests/policies/{policy}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = inputs.iter().map(|input| format!("{input}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "needs the Python package regopy; ./scripts/test installs and runs it"]
async fn random_requests_have_the_verdicts_of_regopy() {
    let mut numbers = Numbers(7);
    let cases: Vec<_> = (0..REQUESTS).map(|_| Case::random(&mut numbers)).collect();
    let inputs: Vec<_> = cases.iter().map(Case::input).collect();
    let mut admitted = 0;
    let verdicts = [others("gateway.rego", &inputs), others("gateway_v0.rego", &inputs)];
    for (place, case) in cases.iter().enumerate() {
        for (status, verdicts) in case.statuses().await.into_iter().zip(&verdicts) {
            let expected = if verdicts[place] == "allow" { 200 } else { 403 };
            assert_eq!(status, expected, "{case:?}");
            admitted += usize::from(status == 200);
        }
    }
    // Neither verdict is rare.
    assert!((REQUESTS / 10..REQUESTS * 2).contains(&admitted), "{admitted}");
}

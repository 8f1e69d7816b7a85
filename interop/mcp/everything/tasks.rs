//! Tools whose result is a task: the extension `io.modelcontextprotocol/tasks`.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, CreateTaskResult, InputRequest,
        InputRequiredResult,
    },
    service::RequestContext,
    task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    rounds::{ask, done, elicitation},
    server::{complete, parse},
};

pub(crate) const TOOLS: [&str; 7] = [
    "confirm_delete",
    "failing_job",
    "greet",
    "multi_input",
    "protocol_error_job",
    "slow_compute",
    "test_tool_with_task",
];

/// The response of a tool of this file; `None` for other tools.
pub(crate) async fn call(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<Option<CallToolResponse>, ErrorData> {
    let name = &*request.name;
    if !TOOLS.contains(&name) {
        return Ok(None);
    }
    let arguments = json!(request.arguments);
    let has_tasks = context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks());
    let job = match name {
        "greet" => return finished(&format!("Hello, {}!", text(&arguments["name"]))),
        "slow_compute" => {
            let seconds = Duration::from_secs(arguments["seconds"].as_u64().unwrap_or_default());
            if !has_tasks {
                sleep(seconds).await;
                return finished("computed");
            }
            Job::Compute(seconds)
        }
        _ if !has_tasks => {
            let required = ClientCapabilities::builder().enable_tasks().build();
            return Err(ErrorData::missing_required_client_capability(required));
        }
        "confirm_delete" => Job::Confirm,
        "failing_job" => Job::Fail,
        "multi_input" => Job::ConfirmTwice,
        "protocol_error_job" => Job::Break,
        _ => match request.input_responses.as_ref().and_then(|responses| responses.get("user_name")) {
            Some(response) => Job::Greet(text(&response["content"]["name"]).to_owned()),
            None => {
                let requests = json!({ "user_name": elicitation("What is your name?", "name", "string") });
                return Ok(Some(parse::<InputRequiredResult>(ask(&requests, None))?.into()));
            }
        },
    };
    let task = tasks.spawn(TaskOptions::new(), |context| Box::pin(job.run(context)));
    Ok(Some(CallToolResponse::Task(CreateTaskResult::new(task))))
}

/// The work of a task.
enum Job {
    Break,
    Compute(Duration),
    Confirm,
    ConfirmTwice,
    Fail,
    Greet(String),
}

impl Job {
    async fn run(self, context: TaskContext) -> Result<CallToolResult, TaskExit> {
        let result = match self {
            Self::Break => return Err(ErrorData::internal_error("the job is broken", None).into()),
            Self::Compute(duration) => tokio::select! {
                () = context.cancelled() => return Err(TaskExit::Cancelled),
                () = sleep(duration) => done("computed"),
            },
            Self::Confirm => {
                context.request_input("confirm", confirmation()?).await?;
                done("deleted")
            }
            Self::ConfirmTwice => {
                let (one, other) = (confirmation()?, confirmation()?);
                tokio::try_join!(context.request_input("one", one), context.request_input("other", other))?;
                done("both confirmed")
            }
            Self::Fail => {
                sleep(Duration::from_secs(1)).await;
                let mut result = done("the job has failed");
                result["isError"] = true.into();
                result
            }
            Self::Greet(name) => done(&format!("Hello, {name}!")),
        };
        Ok(complete(result)?)
    }
}

fn confirmation() -> Result<InputRequest, ErrorData> {
    parse(elicitation("Please confirm", "confirm", "boolean"))
}

fn finished(message: &str) -> Result<Option<CallToolResponse>, ErrorData> {
    Ok(Some(complete::<CallToolResult>(done(message))?.into()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

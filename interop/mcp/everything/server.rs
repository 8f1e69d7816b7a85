//! The server: what it answers to each method.
#![expect(deprecated, reason = "the suite also sends what 2026-07-28 has removed")]

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
        CompleteRequestParams, CompleteResult, CustomRequest, ErrorCode, GetPromptRequestParams, GetPromptResponse,
        GetSkillRequestParams, GetSkillResult, GetTaskParams, GetTaskResult, InputRequiredResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListSkillsResult, ListToolsResult, PaginatedRequestParams,
        ReadResourceDirectoryRequestParams, ReadResourceDirectoryResult, ReadResourceRequestParams,
        ReadResourceResponse, ReadResourceResult, ServerConfig, ServerNotification, ServerRequest,
        SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
        UpdateTaskParams,
    },
    serde::de::DeserializeOwned,
    service::{RequestContext, SubscriptionContext, SubscriptionSink},
    task_manager::TaskManager,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{content, rounds, skills, tasks};

#[derive(Clone, Default)]
pub(crate) struct Everything {
    subscriptions: Arc<Mutex<Vec<SubscriptionSink>>>,
    tasks: TaskManager,
}

/// Shows nothing of the tasks.
impl fmt::Debug for Everything {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Everything").finish_non_exhaustive()
    }
}

impl Everything {
    /// The live subscriptions.
    fn subscriptions(&self) -> Vec<SubscriptionSink> {
        self.subscriptions.lock().map(|sinks| sinks.clone()).unwrap_or_default()
    }

    async fn run(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<Value, ErrorData> {
        let name = &*request.name;
        let arguments = json!(request.arguments);
        if let Some(result) = content::fixed(name) {
            return Ok(result);
        }
        if let Some(asked) = rounds::server_request(name, &arguments) {
            let response = context.peer.send_request(ServerRequest::CustomRequest(custom(&asked)?)).await;
            let response = response.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
            return Ok(rounds::after_response(name, &json!(response)));
        }
        let capabilities = context.client_capabilities().unwrap_or_default();
        let responses = request.input_responses.clone().unwrap_or_default();
        if let Some(result) = rounds::round(name, &responses, request.request_state.as_deref(), &capabilities)? {
            return Ok(result);
        }
        match name {
            "test_missing_capability" if capabilities.sampling.is_none() => {
                let required: ClientCapabilities = parse(json!({ "sampling": {} }))?;
                return Err(ErrorData::missing_required_client_capability(required));
            }
            "test_tool_with_logging" => {
                for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                    let params = json!({ "level": "info", "logger": "everything", "data": message });
                    notify(context, json!({ "method": "notifications/message", "params": params })).await?;
                    sleep(Duration::from_millis(50)).await;
                }
            }
            "test_tool_with_progress" => {
                let token = context.meta.get_progress_token();
                for progress in [0, 50, 100] {
                    if let Some(token) = &token {
                        let params = json!({ "progressToken": token, "progress": progress, "total": 100 });
                        notify(context, json!({ "method": "notifications/progress", "params": params })).await?;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            }
            "test_trigger_prompt_change" => {
                for sink in self.subscriptions() {
                    _ = sink.notify_prompt_list_changed().await;
                }
            }
            "test_trigger_tool_change" => {
                for sink in self.subscriptions() {
                    _ = sink.notify_tool_list_changed().await;
                }
            }
            _ => return Err(ErrorData::invalid_params("there is no such tool", None)),
        }
        Ok(json!({ "content": [content::text("done")], "isError": false }))
    }
}

impl ServerHandler for Everything {
    fn get_info(&self) -> ServerConfig {
        let extensions = json!({
            "io.modelcontextprotocol/skills": { "directoryRead": true },
            "io.modelcontextprotocol/tasks": {},
        });
        let capabilities = json!({
            "completions": {},
            "extensions": extensions,
            "logging": {},
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true },
            "tools": { "listChanged": true },
        });
        let info = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": capabilities,
            "serverInfo": { "name": "everything", "version": "1" },
        });
        serde_json::from_value(info).unwrap_or_default()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(response) = tasks::call(&self.tasks, &request, &context).await? {
            return Ok(response);
        }
        let result = self.run(&request, &context).await?;
        if result["resultType"] == "input_required" {
            return Ok(parse::<InputRequiredResult>(result)?.into());
        }
        Ok(complete::<CallToolResult>(result)?.into())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        complete(json!({ "tools": content::tools(), "ttlMs": 0, "cacheScope": "private" }))
    }

    /// Also what the transport compares `Mcp-Param-*` with.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tool = content::tools().into_iter().find(|tool| tool["name"] == name)?;
        serde_json::from_value(tool).ok()
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let capabilities = context.client_capabilities().unwrap_or_default();
        let responses = request.input_responses.clone().unwrap_or_default();
        let round = rounds::round(&request.name, &responses, request.request_state.as_deref(), &capabilities)?;
        match round.or_else(|| content::prompt(&request.name, &json!(request.arguments))) {
            Some(result) if result["resultType"] == "input_required" => {
                Ok(parse::<InputRequiredResult>(result)?.into())
            }
            Some(result) => Ok(GetPromptResponse::Complete(complete(result)?)),
            None => Err(ErrorData::invalid_params("there is no such prompt", None)),
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        complete(json!({ "prompts": content::prompts(), "ttlMs": 0, "cacheScope": "private" }))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        complete(json!({ "resources": content::resources(), "ttlMs": 0, "cacheScope": "private" }))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        complete(json!({ "resourceTemplates": content::templates(), "ttlMs": 0, "cacheScope": "private" }))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let Some(result) = content::resource(&request.uri).or_else(|| skills::file(&request.uri)) else {
            return Err(ErrorData::invalid_params("Resource not found", Some(json!({ "uri": request.uri }))));
        };
        Ok(complete::<ReadResourceResult>(result)?.into())
    }

    async fn list_skills(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListSkillsResult, ErrorData> {
        complete(json!({ "skills": skills::skills(), "ttlMs": 0, "cacheScope": "private" }))
    }

    async fn get_skill(
        &self,
        request: GetSkillRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetSkillResult, ErrorData> {
        let skill = skills::skill(&request.uri).ok_or_else(|| ErrorData::invalid_params("no such skill", None))?;
        complete(json!({ "skill": skill, "ttlMs": 0, "cacheScope": "private" }))
    }

    async fn read_resource_directory(
        &self,
        request: ReadResourceDirectoryRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceDirectoryResult, ErrorData> {
        let no_directory = || ErrorData::invalid_params("no such directory", Some(json!({ "uri": request.uri })));
        complete(skills::directory(&request.uri).ok_or_else(no_directory)?)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.tasks.get_task(&request.task_id)?))
    }

    async fn update_task(&self, request: UpdateTaskParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        complete(json!({ "completion": { "values": ["paris", "park"], "total": 2, "hasMore": false } }))
    }

    async fn set_level(&self, _: SetLevelRequestParams, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        // Removed in 2026-07-28.
        if context.meta.protocol_version().is_some() {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "logging/setLevel", None));
        }
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        if let Ok(mut sinks) = self.subscriptions.lock() {
            sinks.push(context.sink().clone());
        }
        context.cancelled().await;
        if let Ok(mut sinks) = self.subscriptions.lock() {
            sinks.retain(|sink| sink.id() != context.sink().id());
        }
        Ok(())
    }
}

async fn notify(context: &RequestContext<RoleServer>, notification: Value) -> Result<(), ErrorData> {
    let notification: ServerNotification = parse(notification)?;
    let sent = context.peer.send_notification(notification).await;
    sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn custom(request: &Value) -> Result<CustomRequest, ErrorData> {
    let method = request["method"].as_str().ok_or_else(|| ErrorData::internal_error("no method", None))?;
    Ok(CustomRequest::new(method, Some(request["params"].clone())))
}

/// A result; rmcp removes its type for clients of versions that have none.
pub(crate) fn complete<T: DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = "complete".into();
    parse(value)
}

pub(crate) fn parse<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

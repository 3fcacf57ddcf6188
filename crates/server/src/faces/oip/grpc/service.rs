//! The service.

use std::pin::Pin;

use axum::http;
use futures::{Stream, StreamExt};
use hyper::body::Incoming;
use mainspring_catalog::Principal;
use mainspring_serve::ErrorKind;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::server::Grpc;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::proto::grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer, SERVICE_NAME};
use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_metadata_response::TensorMetadata;
use super::proto::repository_index_response::ModelIndex;
use super::proto::{
    InferStatistics, ModelConfig, ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse,
    ModelInput, ModelMetadataRequest, ModelMetadataResponse, ModelOutput, ModelReadyRequest, ModelReadyResponse,
    ModelStatistics, ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
    ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse, StatisticDuration,
};
use super::{read, write};
use crate::app::App;
use crate::faces::oip::infer::{infer, same_version};
use crate::faces::oip::routes::EXTENSIONS;
use crate::faces::oip::{configuration, metadata, repository, statistics};
use crate::faces::{Refusal, Served};
use crate::grpc::{MESSAGE_BYTES_MAX, caller};

/// The definition, for reflection.
pub(crate) const DEFINITION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inference.descriptors"));
/// The service's name.
pub(crate) const SERVICE: &str = SERVICE_NAME;

/// Requests of one stream that are worked on at once; answers keep their order.
const STREAM_AHEAD: usize = 8;

/// Sets what holds for every call. The server that the router has and the calls that go past it have methods of the same
/// names, and no trait in common.
macro_rules! bounded {
    ($grpc:expr) => {
        $grpc
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
            // answers are not compressed: every client says that it could read that, and few are better off
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Deflate)
    };
}

/// The service over an app.
pub(crate) fn service(app: &App) -> GrpcInferenceServiceServer<impl GrpcInferenceService> {
    let inference = Inference { served: crate::routes::served(app), app: app.clone() };
    bounded!(GrpcInferenceServiceServer::new(inference))
}

#[derive(Clone)]
struct Inference {
    served: Served,
    app: App,
}

type Answered<T> = Result<Response<T>, Status>;

fn named(version: &str) -> Option<&str> {
    (!version.is_empty()).then_some(version)
}

/// The path of a call of `ModelInfer`.
pub(crate) const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Answers a call at [`INFER`], without the router.
pub(crate) async fn infer_at_once(
    served: &Served,
    caller: &Principal,
    request: http::Request<Incoming>,
) -> http::Response<Body> {
    let codec = ProstCodec::<ModelInferResponse, ModelInferRequest>::default();
    let mut inferring = bounded!(Grpc::new(codec));
    let answer = |request: Request<ModelInferRequest>| async {
        let answered = answer(served, caller, request.into_inner()).await;
        answered.map(Response::new).map_err(Status::from)
    };
    inferring.unary(tower::service_fn(answer), request).await
}

async fn answer(
    served: &Served,
    caller: &Principal,
    message: ModelInferRequest,
) -> Result<ModelInferResponse, Refusal> {
    let endpoint = served.endpoint_to_predict(Some(caller), &message.model_name).await?;
    let inferred = infer(&endpoint, caller, named(&message.model_version), || read::read(&message)).await?;
    Ok(write::write(inferred, message.model_name))
}

impl Inference {
    fn is_ready(&self, caller: &Principal, model: &str, version: &str) -> Result<bool, Refusal> {
        let endpoint = self.served.endpoint(Some(caller), "endpoint.read", model)?;
        let deployed = endpoint.deployed();
        same_version(&endpoint, &deployed, named(version))?;
        Ok(deployed.live.is_some())
    }

    fn described(&self, caller: &Principal, model: &str, version: &str) -> Result<metadata::Metadata, Refusal> {
        let endpoint = self.served.endpoint(Some(caller), "endpoint.read", model)?;
        let deployed = endpoint.deployed();
        same_version(&endpoint, &deployed, named(version))?;
        Ok(metadata::of(&endpoint, &deployed))
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answered<ServerLiveResponse> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answered<ServerReadyResponse> {
        Ok(Response::new(ServerReadyResponse { ready: self.served.engine.is_ready() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Answered<ModelReadyResponse> {
        let caller = caller(&request)?;
        let ModelReadyRequest { name, version } = request.into_inner();
        match self.is_ready(&caller.principal, &name, &version) {
            Ok(ready) => Ok(Response::new(ModelReadyResponse { ready })),
            // one that is not there is not ready: over HTTP, too, a client's answer is false
            Err(Refusal::Serve(error)) if error.kind() == ErrorKind::NotFound => {
                Ok(Response::new(ModelReadyResponse { ready: false }))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Answered<ServerMetadataResponse> {
        Ok(Response::new(ServerMetadataResponse {
            name: metadata::PLATFORM.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).into(),
        }))
    }

    async fn model_metadata(&self, request: Request<ModelMetadataRequest>) -> Answered<ModelMetadataResponse> {
        let caller = caller(&request)?;
        let ModelMetadataRequest { name, version } = request.into_inner();
        let metadata::Metadata { name, versions, platform, inputs, outputs } =
            self.described(&caller.principal, &name, &version)?;
        let tensors = |tensors: Vec<metadata::Tensor>| {
            let described = tensors.into_iter().map(|metadata::Tensor { name, datatype, shape }| TensorMetadata {
                name,
                datatype: datatype.as_str().to_owned(),
                shape,
            });
            described.collect()
        };
        Ok(Response::new(ModelMetadataResponse {
            name,
            versions,
            platform: platform.to_owned(),
            inputs: tensors(inputs),
            outputs: tensors(outputs),
        }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Answered<ModelInferResponse> {
        let caller = caller(&request)?;
        Ok(Response::new(answer(&self.served, &caller.principal, request.into_inner()).await?))
    }

    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Answered<Self::ModelStreamInferStream> {
        let caller = caller(&request)?;
        let inference = self.clone();
        let answers = request.into_inner().map(move |message| {
            let (inference, caller) = (inference.clone(), caller.clone());
            async move { Ok(inference.answer_in_stream(&caller.principal, message?).await) }
        });
        Ok(Response::new(Box::pin(answers.buffered(STREAM_AHEAD))))
    }

    async fn model_config(&self, request: Request<ModelConfigRequest>) -> Answered<ModelConfigResponse> {
        let caller = caller(&request)?;
        let ModelConfigRequest { name, version } = request.into_inner();
        let described = configuration::of(self.described(&caller.principal, &name, &version)?);
        let configuration::Configuration { name, platform, backend, max_batch_size, input, output } = described;
        let input = input.into_iter().map(|configuration::ConfiguredTensor { name, data_type, dims }| ModelInput {
            name,
            data_type: data_type.in_configuration().1,
            dims,
            optional: false,
        });
        let output = output.into_iter().map(|configuration::ConfiguredTensor { name, data_type, dims }| ModelOutput {
            name,
            data_type: data_type.in_configuration().1,
            dims,
        });
        let config = ModelConfig {
            name,
            platform: platform.to_owned(),
            max_batch_size,
            input: input.collect(),
            output: output.collect(),
            backend: backend.to_owned(),
        };
        Ok(Response::new(ModelConfigResponse { config: Some(config) }))
    }

    async fn model_statistics(&self, request: Request<ModelStatisticsRequest>) -> Answered<ModelStatisticsResponse> {
        let caller = caller(&request)?;
        let ModelStatisticsRequest { name, version } = request.into_inner();
        let statuses = if name.is_empty() {
            let gate = &self.served.gate;
            let visible = self.served.engine.status().into_iter();
            visible.filter(|status| gate(&caller.principal, "endpoint.read", &status.endpoint).is_ok()).collect()
        } else {
            let endpoint = self.served.endpoint(Some(&caller.principal), "endpoint.read", &name)?;
            same_version(&endpoint, &endpoint.deployed(), named(&version)).map_err(Refusal::from)?;
            vec![endpoint.status()]
        };
        let model_stats = statuses.into_iter().map(|status| statistics_message(statistics::of(status))).collect();
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(&self, request: Request<RepositoryIndexRequest>) -> Answered<RepositoryIndexResponse> {
        let caller = caller(&request)?;
        let entries = repository::index(&self.app, &caller, request.get_ref().ready).await?;
        let models = entries.into_iter().map(|repository::Entry { name, version, state, reason }| ModelIndex {
            name,
            version,
            state: state.to_owned(),
            reason,
        });
        Ok(Response::new(RepositoryIndexResponse { models: models.collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Answered<RepositoryModelLoadResponse> {
        let caller = caller(&request)?;
        let RepositoryModelLoadRequest { repository_name, model_name, parameters } = request.into_inner();
        let model_name = model_of(repository_name, model_name);
        repository::load(&self.app, &caller, &model_name, parameters.keys()).await?;
        Ok(Response::new(RepositoryModelLoadResponse { model_name, is_loaded: true }))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Answered<RepositoryModelUnloadResponse> {
        let caller = caller(&request)?;
        let RepositoryModelUnloadRequest { repository_name, model_name, .. } = request.into_inner();
        let model_name = model_of(repository_name, model_name);
        repository::unload(&self.app, &caller, &model_name).await?;
        Ok(Response::new(RepositoryModelUnloadResponse { model_name, is_unloaded: true }))
    }
}

/// `KServe`'s messages have the model's name where Triton's have the repository's.
fn model_of(first: String, second: String) -> String {
    if second.is_empty() { first } else { second }
}

impl Inference {
    /// An inference that fails is an answer of its stream, which goes on.
    async fn answer_in_stream(&self, caller: &Principal, message: ModelInferRequest) -> ModelStreamInferResponse {
        let id = message.id.clone();
        let wants_final = message.parameters.get("triton_enable_empty_final_response");
        let wants_final =
            wants_final.is_some_and(|wants| wants.parameter_choice == Some(ParameterChoice::BoolParam(true)));
        let (error_message, mut response) = match answer(&self.served, caller, message).await {
            Ok(response) => (String::new(), response),
            Err(refusal) => {
                (Status::from(refusal).message().to_owned(), ModelInferResponse { id, ..ModelInferResponse::default() })
            }
        };
        if wants_final {
            write::mark_final(&mut response);
        }
        ModelStreamInferResponse { error_message, infer_response: Some(response) }
    }
}

fn statistics_message(statistics: statistics::Statistics) -> ModelStatistics {
    let statistics::Statistics { name, version, last_inference, inference_count, execution_count, inference_stats } =
        statistics;
    let duration = |statistics::Duration { count, ns }| Some(StatisticDuration { count, ns });
    ModelStatistics {
        name,
        version,
        last_inference,
        inference_count,
        execution_count,
        inference_stats: Some(InferStatistics {
            success: duration(inference_stats.success),
            fail: duration(inference_stats.fail),
            queue: duration(inference_stats.queue),
            compute_input: duration(inference_stats.compute_input),
            compute_infer: duration(inference_stats.compute_infer),
            compute_output: duration(inference_stats.compute_output),
            cache_hit: duration(inference_stats.cache_hit),
            cache_miss: duration(inference_stats.cache_miss),
        }),
    }
}

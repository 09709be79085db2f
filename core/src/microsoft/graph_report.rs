//! Usage reports: Graph answers with a redirect to a pre-authenticated download.

use reqwest::{Method, Request, Response, StatusCode};
use url::Url;

use crate::{
    microsoft::{
        graph::{Ask, GraphPath, GraphSession, Reply, unavailable},
        graph_error::GraphError,
        meter::Meter,
        throttle::{Cost, Workload},
    },
    outbound::{Upstream, next_chunk},
};

/// A report while it is downloaded, piece by piece.
pub struct ReportBody {
    response: Response,
    left: u64,
    limit: u64,
}

impl ReportBody {
    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// [`GraphError::Unavailable`] when the download broke: what came so far is not the report.
    /// [`GraphError::TooLarge`] when it is larger than allowed.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, GraphError> {
        let Some(chunk) = next_chunk(&mut self.response).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let chunk = chunk.as_ref().to_vec();
        let size = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let Some(left) = self.left.checked_sub(size) else {
            return Err(GraphError::TooLarge {
                limit: usize::try_from(self.limit).unwrap_or(usize::MAX),
            });
        };
        self.left = left;
        Ok(Some(chunk))
    }
}

impl GraphSession {
    /// Opens a usage report. The redirect is followed once, without the token, and only to where
    /// Microsoft keeps reports.
    ///
    /// # Errors
    /// See [`GraphError`]; [`GraphError::ForeignLink`] when the redirect leads elsewhere.
    pub async fn report(
        &self,
        path: impl Into<GraphPath>,
        workload: Workload,
        meter: &Meter,
    ) -> Result<ReportBody, GraphError> {
        let url = self.v1(path);
        let patience = self.patience();
        let mut attempt = 0;
        loop {
            let ask = Ask {
                url: &url,
                body: None,
                workload,
                cost: Cost::of(1),
                meter,
                leave_open: true,
            };
            let download = match self.ask(ask).await? {
                Reply::Redirect(location) => self.download(location.as_deref(), meter).await,
                Reply::Open(response) => Ok(response),
                Reply::Body(_) => Err(GraphError::unexpected("a body instead of a report")),
            };
            match download {
                Ok(response) => {
                    let limit = patience.report_limit;
                    return Ok(ReportBody {
                        response,
                        left: limit,
                        limit,
                    });
                }
                // The address is good for minutes only: begin anew, not at the download.
                Err(GraphError::Unavailable { status, .. })
                    if patience.backoff.allows_after(attempt) =>
                {
                    let wait = patience.backoff.wait(attempt);
                    tokio::time::sleep(wait).await;
                    if status == Some(StatusCode::TOO_MANY_REQUESTS.as_u16()) {
                        self.http().count_throttled(Upstream::Reports, wait);
                    }
                    meter.count_retry();
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn download(
        &self,
        location: Option<&str>,
        meter: &Meter,
    ) -> Result<Response, GraphError> {
        let location = location.ok_or(GraphError::unexpected("a redirect without location"))?;
        let url = match Url::parse(location) {
            Ok(url) if self.profile().trusts_report_host(&url) => url,
            Ok(_) | Err(_) => return Err(GraphError::ForeignLink),
        };
        let mut request = Request::new(Method::GET, url);
        *request.timeout_mut() = Some(self.patience().report_time);
        meter.count_request();
        let response = self
            .http()
            .execute(Upstream::Reports, request)
            .await
            .map_err(unavailable)?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status if status.is_redirection() => Err(GraphError::ForeignLink),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(GraphError::Unavailable {
                    status: Some(status.as_u16()),
                    source: None,
                })
            }
            status => Err(GraphError::from_answer(status.as_u16(), b"", false)),
        }
    }
}

//! The host that hands out report downloads. It must never see an Authorization.

use std::time::Instant;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data},
};
use uuid::Uuid;

use super::{
    directory::{Directory, mailbox::Mailbox},
    faults,
    seed::random_of,
    state::{Cloud, LoggedRequest},
};

/// Seconds a download can be fetched.
const LIFE: i64 = 300;

const HEADER: &str = "Report Refresh Date,User Principal Name,Display Name,Is Deleted,Deleted Date,\
    Created Date,Last Activity Date,Item Count,Storage Used (Byte),Issue Warning Quota (Byte),\
    Prohibit Send Quota (Byte),Prohibit Send/Receive Quota (Byte),Deleted Item Count,\
    Deleted Item Size (Byte),Deleted Item Quota (Byte),Has Archive,Report Period";

/// A download that Graph's redirect points to. It can be fetched once.
#[derive(Clone, Debug)]
pub struct ReportDownload {
    pub tenant: Uuid,
    /// Unix seconds.
    pub expires_at: i64,
    /// Days the report covers.
    pub period: String,
}

/// Makes a download known under the last segment of its path.
pub fn offer(cloud: &Cloud, tenant: Uuid, token: &str, period: String) {
    let expires_at = cloud.now_unix() + LIFE;
    let download = ReportDownload {
        tenant,
        expires_at,
        period,
    };
    let mut downloads = cloud.report_downloads.lock().expect("downloads");
    downloads.insert(token.to_owned(), download);
}

/// Routes of the reports server.
pub fn routes(config: &mut web::ServiceConfig) {
    config.default_service(web::to(handle));
}

async fn handle(request: HttpRequest, cloud: Data<Cloud>) -> HttpResponse {
    let target = request.uri().to_string();
    let token = request
        .path()
        .strip_prefix("/data/download/")
        .unwrap_or_default();
    let tenant = {
        let downloads = cloud.report_downloads.lock().expect("downloads");
        downloads.get(token).map(|download| download.tenant)
    };
    let had_authorization = request.headers().contains_key("authorization");
    let number = cloud.log_arrival(LoggedRequest {
        server: "reports",
        method: request.method().to_string(),
        path_and_query: target.clone(),
        tenant,
        had_authorization,
        status: 0,
        at: Instant::now(),
        answered_at: None,
        batch: Vec::new(),
        form: None,
    });
    cloud.pass_gate(&target).await;
    let fault = cloud.faults.take("reports", &target, tenant);
    let answered = async {
        if had_authorization {
            cloud.record_violation(format!("the report host got an Authorization: {target}"));
            return HttpResponse::BadRequest().body("Authorization is not expected here.");
        }
        download(&cloud, &request, token)
    };
    let response = faults::play(fault, answered).await;
    cloud.log_answer(number, response.status().as_u16());
    response
}

fn download(cloud: &Cloud, request: &HttpRequest, token: &str) -> HttpResponse {
    if request.method() != "GET" {
        return HttpResponse::MethodNotAllowed().finish();
    }
    let download = cloud
        .report_downloads
        .lock()
        .expect("downloads")
        .remove(token);
    let download = download.filter(|download| download.expires_at > cloud.now_unix());
    let tenant = download
        .as_ref()
        .and_then(|download| cloud.tenant(download.tenant));
    let (Some(download), Some(tenant)) = (download, tenant) else {
        return HttpResponse::Forbidden().body("The link has expired.");
    };
    let csv = usage_detail(
        &tenant.directory.lock().expect("directory"),
        &download.period,
    );
    let tag = format!("\"{:016x}\"", random_of(&csv).next());
    let known = request.headers().get("If-None-Match");
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return HttpResponse::NotModified().finish();
    }
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((
            "Content-Disposition",
            "attachment; filename=MailboxUsageDetail.csv",
        ))
        .insert_header(("ETag", tag))
        .body(csv)
}

/// The mailbox usage report as CSV, with a byte order mark and CRLF.
pub fn usage_detail(directory: &Directory, period: &str) -> String {
    let mut csv = String::with_capacity(200 * (directory.users.rows.len() + 2));
    csv.push('\u{feff}');
    csv.push_str(HEADER);
    csv.push_str("\r\n");
    if directory.features.exchange {
        for mailbox in directory.mailboxes.iter() {
            push_row(&mut csv, directory, mailbox, period);
        }
    }
    csv
}

fn push_row(csv: &mut String, directory: &Directory, mailbox: &Mailbox, period: &str) {
    let (mut upn, mut name) = directory.mailbox_names(mailbox);
    if directory.features.concealed_names {
        upn = concealed(&upn);
        name = concealed(&name);
    }
    let date = |date: &Option<String>| date.clone().unwrap_or_default();
    let flag = |flag: bool| if flag { "True" } else { "False" }.to_owned();
    let fields = [
        directory.features.report_date.clone(),
        upn,
        name,
        flag(mailbox.deleted_date.is_some()),
        date(&mailbox.deleted_date),
        mailbox.created_date.clone(),
        date(&mailbox.last_activity_date),
        mailbox.item_count.to_string(),
        mailbox.storage_used.to_string(),
        mailbox.issue_warning_quota.to_string(),
        mailbox.prohibit_send_quota.to_string(),
        mailbox.prohibit_send_receive_quota.to_string(),
        mailbox.deleted_item_count.to_string(),
        mailbox.deleted_item_size.to_string(),
        mailbox.deleted_item_quota.to_string(),
        flag(mailbox.has_archive),
        period.to_owned(),
    ];
    for (place, field) in fields.iter().enumerate() {
        if place > 0 {
            csv.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            csv.push('"');
            csv.push_str(&field.replace('"', "\"\""));
            csv.push('"');
        } else {
            csv.push_str(field);
        }
    }
    csv.push_str("\r\n");
}

/// The hash that stands for a concealed name.
fn concealed(text: &str) -> String {
    let mut random = random_of(text);
    format!("{:016X}{:016X}", random.next(), random.next())
}

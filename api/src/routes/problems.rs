//! The pages of the problem types.

use actix_web::{HttpResponse, http::header, web};

use crate::{
    html_page,
    problem::{self, Problem, catalogue},
};

/// Show what a problem type means
#[utoipa::path(
    get,
    path = "/problems/{code}",
    tag = "documentation",
    params(("code" = String, Path, description = "Code of the type", example = "notFound")),
    responses((status = 200, description = "The page", content_type = "text/html", body = String)),
)]
pub async fn show_problem_type(code: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = catalogue::find(&code).ok_or_else(Problem::not_found)?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CACHE_CONTROL, "public, max-age=3600"));
    Ok(html_page::answer(&mut answer, problem::page(kind)))
}

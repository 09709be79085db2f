//! `cargo demo`: stand-ins for Microsoft's cloud and three PSAs, the real server on SQLite, and seven
//! tenants of different kinds that are connected through the public API as a technician would and find
//! their customers.
//!
//! With `--once` it ends after the summary, with an error when anything went wrong; otherwise it
//! keeps serving until Ctrl-C.

mod api;
mod cast;
mod matches;
mod psa;
mod server;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tenantry_tests::{
    app::{BASE, CLIENT_ID, CLIENT_SECRET},
    fake_microsoft::{FakeMicrosoft, Ports, seed::TenantSeed, state::Decision},
};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    api::{Api, client, text},
    cast::{Member, cast, connect, first_domain},
    matches::UNSORTED,
    psa::Psas,
    server::Setting,
};

/// Where the demo is reached; a port that is taken is replaced by a free one.
const PORT: u16 = 8080;
/// Longest time for all tenants together.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let once = match arguments.as_slice() {
        [] => false,
        [flag] if flag == "--once" => true,
        _ => bail!("usage: cargo demo [-- --once]"),
    };
    let begun = Instant::now();
    let port = free_port(PORT)?;
    let microsoft =
        FakeMicrosoft::start_on(Ports::default()).context("the stand-in for Microsoft's cloud")?;
    let redirect_uri = format!("http://localhost:{port}{BASE}/tenants/callback");
    microsoft.register_app(CLIENT_ID, CLIENT_SECRET, &redirect_uri);
    let folder = tempfile::tempdir().context("a folder for the database")?;

    println!("Tenantry demo");
    println!(
        "  Microsoft's cloud is played by {} and {}",
        microsoft.login_url(),
        microsoft.graph_url()
    );
    let setting = Setting {
        microsoft: &microsoft,
        folder: folder.path(),
        port,
    };
    let organization = setting.admin(&[
        "create-organization",
        "--name",
        "Northwind Managed Services",
        "--json",
    ])?;
    let key = text(&organization, "apiKey")?;
    let mut server = setting.serve()?;
    let api = Api {
        http: client()?,
        base: format!("http://localhost:{port}"),
        key: key.clone(),
    };
    println!("  The server listens on {}", api.base);

    println!("\nCustomers from three PSAs, each played by a stand-in:");
    let psas = Psas::start().await;
    psas.bring_customers(&api).await?;

    println!("\nTenants:");
    let cast = cast(&microsoft);
    let unsorted = api.create_customer(UNSORTED).await?;
    for member in &cast {
        connect(&api, member, &unsorted).await?;
    }
    // One more, left for a person to connect in a browser.
    let open = microsoft.add_tenant(
        TenantSeed::new("Proseware", "proseware.example")
            .users(25)
            .decision(Decision::Ask),
    );
    let customer = api.create_customer(&open.display_name).await?;
    let link = api.connect(&customer, first_domain(&open)?).await?;

    println!("\nThe first sync of each tenant:");
    watch(&api, &cast).await?;
    let healthy = summary(&api, &cast).await?;
    println!("\nWhose tenants they are, where nobody said so:");
    let left = matches::confirm(&api, &cast, &unsorted).await?;
    matches::ensure_mapped(&api, &cast).await?;
    psas.ensure_well_treated()?;
    println!(
        "\nDone in {:.1} s. The addresses to open:",
        begun.elapsed().as_secs_f64()
    );
    println!("  API documentation   {}/docs", api.base);
    println!("  Connect a tenant    {}", text(&link, "authorizationUrl")?);
    println!(
        "                      (Proseware, which is still to be connected; choose what its administrator does)"
    );
    println!("  Owner's API key     {key}");
    println!(
        "  Watch it arrive     curl -N -H \"Authorization: Bearer $KEY\" {}{BASE}/tenants/{}/sync-status/events",
        api.base, open.id
    );
    println!(
        "  All tenants         curl -H \"Authorization: Bearer $KEY\" {}{BASE}/tenants",
        api.base
    );
    for (tenant, customer) in left {
        println!(
            "  Confirm a match     curl -H \"Authorization: Bearer $KEY\" --json '{{\"matches\":[{{\"tenantId\":\"{tenant}\",\"customerId\":\"{customer}\"}}]}}' {}{BASE}/customer-matches/confirm",
            api.base
        );
    }
    if once {
        ensure!(healthy, "a tenant did not end as it should");
        return server.stop();
    }
    println!("\nServing until Ctrl-C.");
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
        ended = server.ended() => bail!("the server ended by itself: {ended}"),
    }
    server.stop()
}

/// Draws a bar for each tenant until all runs have ended.
async fn watch(api: &Api, cast: &[Member]) -> Result<()> {
    let begun = Instant::now();
    let drawn_in_place = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let mut lines = 0;
    loop {
        let mut open = 0;
        let mut bars = Vec::new();
        for member in cast {
            let status = api
                .get(&format!("/tenants/{}/sync-status", member.tenant.id))
                .await?;
            let run = &status["run"];
            if run["finishedAt"].is_null() {
                open += 1;
            }
            bars.push(bar(&member.tenant.display_name, run));
        }
        if drawn_in_place {
            if lines > 0 {
                print!("\x1b[{lines}A");
            }
            for bar in &bars {
                println!("\x1b[2K{bar}");
            }
            std::io::stdout().flush()?;
            lines = bars.len();
        }
        if open == 0 {
            if !drawn_in_place {
                bars.iter().for_each(|bar| println!("{bar}"));
            }
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "the syncs did not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn bar(name: &str, run: &Value) -> String {
    const WIDTH: usize = 30;
    let progress = run["progress"].as_f64().unwrap_or(0.0);
    let full = ((progress * WIDTH as f64) as usize).min(WIDTH);
    let state = run["state"].as_str().unwrap_or("waiting");
    let processed: u64 = run["datasets"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|set| set["processed"].as_u64())
        .sum();
    let bar = format!("{}{}", "█".repeat(full), "·".repeat(WIDTH - full));
    format!(
        "  {name:<10} {bar} {:>4.0} %  {processed:>7} objects  {state}",
        progress * 100.0
    )
}

/// Prints what arrived; whether every tenant ended as it should.
async fn summary(api: &Api, cast: &[Member]) -> Result<bool> {
    println!("\n  tenant     users   groups  licenses  devices  mailboxes  secure score  status");
    let mut healthy = true;
    for member in cast {
        let id = member.tenant.id;
        let summary = api.get(&format!("/tenants/{id}/summary")).await?;
        let status = api.get(&format!("/tenants/{id}/sync-status")).await?;
        let count = |name: &str| summary["counts"][name].as_u64().unwrap_or_default();
        let score = match &summary["secureScore"] {
            Value::Null => "–".to_owned(),
            score => format!("{} / {}", score["current"], score["max"]),
        };
        println!(
            "  {:<10} {:>5}  {:>7}  {:>8}  {:>7}  {:>9}  {:>12}  {}, {}",
            member.tenant.display_name,
            count("users"),
            count("groups"),
            count("licenses"),
            count("devices"),
            count("mailboxes"),
            score,
            status["status"].as_str().unwrap_or_default(),
            status["run"]["state"].as_str().unwrap_or_default(),
        );
        for set in status["run"]["datasets"].as_array().into_iter().flatten() {
            if let Some(detail) = set["warning"]["detail"].as_str() {
                println!(
                    "             {}: {detail}",
                    set["name"].as_str().unwrap_or_default()
                );
            }
        }
        let truth = member
            .tenant
            .directory
            .lock()
            .expect("directory")
            .users()
            .len() as u64;
        healthy &= ended_as_expected(member, &status) && count("users") == truth;
    }
    Ok(healthy)
}

fn ended_as_expected(member: &Member, status: &Value) -> bool {
    let (state, differing) = member.ends;
    let sets = status["run"]["datasets"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let sets_fit = sets.iter().all(|set| {
        let expected = differing
            .filter(|(name, _)| set["name"] == *name)
            .map_or("completed", |(_, state)| state);
        set["state"] == expected
    });
    let fits = status["run"]["state"] == state && sets_fit;
    if !fits {
        println!("             expected {state}, found {status:#}");
    }
    fits
}

fn free_port(wanted: u16) -> Result<u16> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", wanted))
        .or_else(|_taken| std::net::TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

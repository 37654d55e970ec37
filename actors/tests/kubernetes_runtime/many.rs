//! Fifty environments of one person at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use devpocket_actors::cluster::stored::StoredClusters;
use devpocket_actors::mailer::{MailSettings, MailTransport, NoticeLevel};
use devpocket_actors::persistence::templates::CreateTemplate;
use devpocket_actors::persistence::users::CreateUser;
use devpocket_actors::persistence::vault::Vault;
use devpocket_actors::persistence::{EnvironmentStatus, Plan, RuntimeKind, environments, new_id};
use devpocket_actors::runtime::kubernetes::{KubernetesConfig, KubernetesRuntime, SCHEDULING_PATIENCE};
use devpocket_actors::{GivenCluster, System, SystemSettings};
use kube::client::{Body, ClientBuilder};
use tower::util::MapRequestLayer;

use crate::place::{IMAGE, Place, kubeconfig};
use crate::support::{World, new_user, spec};

const ENVIRONMENTS: usize = 50;

/// This process's resident memory in KiB.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_cost_little() {
    // As long as people wait: fifty volumes take a small cluster its time.
    let patient = |config: &mut KubernetesConfig| config.scheduling_patience = SCHEDULING_PATIENCE;
    let place = Place::with("fifty_at_once_cost_little", patient).await;
    let world = World::new().await;
    let small = devpocket_actors::persistence::templates::TemplateSpec {
        docker_image: IMAGE.to_owned(),
        install_commands: Vec::new(),
        ..spec("small")
    };
    world.persistence.write(CreateTemplate { id: new_id(), spec: small }).await.unwrap();
    let person = CreateUser { is_verified: true, subscription_plan: Plan::Enterprise, ..new_user("many") };
    let person = world.persistence.write(person).await.unwrap().id;

    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let counted = MapRequestLayer::new({
        let counts = Arc::clone(&counts);
        move |request: http::Request<Body>| {
            let uri = request.uri().to_string();
            let watches = uri.contains("/pods?") && uri.contains("watch=true");
            counts[0].fetch_add(1, Ordering::Relaxed);
            counts[1].fetch_add(usize::from(watches), Ordering::Relaxed);
            request
        }
    });
    let client = ClientBuilder::try_from(kubeconfig().await).unwrap().with_layer(&counted).build();
    let runtime = KubernetesRuntime::new(client, place.config.clone());
    let settings = SystemSettings {
        pool: world.database.pool.clone(),
        clusters: vec![GivenCluster {
            name: "kubernetes".to_owned(),
            description: "The tests' cluster".to_owned(),
            kind: RuntimeKind::Kubernetes,
            runtime: Arc::new(runtime),
        }],
        stored: StoredClusters::default(),
        vault: Vault::new("a-secret-of-more-than-32-characters!"),
        mail: MailSettings {
            from: "noreply@example.org".into(),
            transport: MailTransport::Nowhere,
            ca_file: None,
        },
        notices: (NoticeLevel::None, String::new()),
        connections_per_user: 10,
    };
    let system = System::start(settings).await.unwrap();
    let before = (rss(), counts[0].load(Ordering::Relaxed));
    let began = Instant::now();
    for number in 0..ENVIRONMENTS {
        let new = environments::CreateEnvironment {
            user_id: person.clone(),
            template: "small".to_owned(),
            cluster: Some("kubernetes".to_owned()),
            cpu: Some("20m".to_owned()),
            memory: Some("48Mi".to_owned()),
            storage: Some("1Mi".to_owned()),
            ..world.new_environment(&format!("e{number}"))
        };
        system.create_environment(new).await.unwrap();
    }
    println!("{ENVIRONMENTS} asked for after {:?}", began.elapsed());
    let deadline = began + Duration::from_secs(300);
    let mut first = None;
    loop {
        let rows = environments::all_live(system.persistence().pool()).await.unwrap();
        let failed: Vec<_> = rows.iter().filter(|row| row.status == EnvironmentStatus::Error).collect();
        assert!(failed.is_empty(), "{failed:?}");
        let running = rows.iter().filter(|row| row.status == EnvironmentStatus::Running).count();
        if running > 0 {
            first.get_or_insert_with(|| began.elapsed());
        }
        if running == ENVIRONMENTS {
            break;
        }
        assert!(Instant::now() < deadline, "{running} run");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = began.elapsed();
    let requests = counts[0].load(Ordering::Relaxed) - before.1;
    let watches = counts[1].load(Ordering::Relaxed);
    let each = rss().saturating_sub(before.0) / ENVIRONMENTS as u64;
    println!(
        "the first runs after {first:?}, all after {took:?}; {requests} requests, {:.1} each; {watches} pod watch; \
         {} KiB resident, {each} KiB for each",
        requests as f64 / ENVIRONMENTS as f64,
        rss()
    );
    system.shutdown().await;
    assert_eq!(watches, 1);
    assert!(requests < 12 * ENVIRONMENTS, "{requests} requests");
}

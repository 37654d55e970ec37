use devpocket_actors::persistence::templates::{
    CreateTemplate, Search, SetTemplateStatus, TemplateFilter, UpsertTemplate, Upserted, by_id_or_name, list,
};
use devpocket_actors::persistence::*;

use crate::support::{World, spec};

#[tokio::test]
async fn a_file_is_loaded_once_and_an_edit_lives_until_the_file_changes() {
    let world = World::new().await;
    let upsert = |digest: &str| UpsertTemplate { spec: spec("rust"), source_digest: digest.to_owned() };
    assert_eq!(world.persistence.write(upsert("a")).await.unwrap(), Upserted::Created);
    assert_eq!(world.persistence.write(upsert("a")).await.unwrap(), Upserted::Unchanged);
    let pool = world.persistence.pool();
    let row = by_id_or_name(pool, "rust").await.unwrap().unwrap();
    let retire = SetTemplateStatus { id: row.id.clone(), status: TemplateStatus::Deprecated };
    world.persistence.write(retire).await.unwrap();
    assert_eq!(world.persistence.write(upsert("a")).await.unwrap(), Upserted::Unchanged);
    assert_eq!(by_id_or_name(pool, &row.id).await.unwrap().unwrap().status, TemplateStatus::Deprecated);
    assert_eq!(world.persistence.write(upsert("b")).await.unwrap(), Upserted::Updated);
    assert_eq!(by_id_or_name(pool, &row.id).await.unwrap().unwrap().status, TemplateStatus::Active);
}

#[tokio::test]
async fn lists_filter_search_and_put_the_most_used_first() {
    let world = World::new().await;
    let mut percent = spec("percent");
    percent.description = "100% legal_name".into();
    world.persistence.write(CreateTemplate { id: new_id(), spec: percent }).await.unwrap();
    let mut beta = spec("beta");
    beta.status = TemplateStatus::Beta;
    world.persistence.write(CreateTemplate { id: new_id(), spec: beta }).await.unwrap();
    world.environment("one").await;

    let names = |filter: TemplateFilter| {
        let pool = world.persistence.pool().clone();
        async move {
            let (rows, total) = list(&pool, &filter, Page::default()).await.unwrap();
            assert_eq!(rows.len() as i64, total);
            rows.into_iter().map(|row| row.name).collect::<Vec<_>>()
        }
    };
    let search = |text: &str| TemplateFilter { search: Search::of(text), ..Default::default() };
    assert_eq!(names(TemplateFilter::default()).await, ["debian", "percent"]);
    assert_eq!(names(search("THE DEB")).await, ["debian"]);
    assert_eq!(names(search("100%")).await, ["percent"]);
    assert_eq!(names(search("l_n")).await, ["percent"]);
    assert_eq!(names(search("e%n")).await, [""; 0]);
    assert_eq!(names(search("Linux")).await.len(), 2);
    let all = TemplateFilter { statuses: TemplateStatus::ALL.to_vec(), ..Default::default() };
    assert_eq!(names(all).await.len(), 3);
    let tags = TemplateFilter { tags: vec!["linux".into(), "debian".into()], ..Default::default() };
    assert_eq!(names(tags).await, ["debian"]);
    let shelf = TemplateFilter { category: Some(TemplateCategory::Database), ..Default::default() };
    assert!(names(shelf).await.is_empty());
}

#[tokio::test]
async fn the_templates_of_this_build_load_and_loading_again_touches_nothing() {
    let world = World::new().await;
    let sources = devpocket_actors::templates::built_in().unwrap();
    let sync = || devpocket_actors::templates::sync(&world.persistence, sources.clone());
    // `debian` is there already, made by hand: the file takes it over.
    let first = sync().await.unwrap();
    assert_eq!((first.created, first.updated, first.unchanged), (sources.len() - 1, 1, 0));
    let all = TemplateFilter { statuses: TemplateStatus::ALL.to_vec(), ..Default::default() };
    let (before, _) = list(world.persistence.pool(), &all, Page::default()).await.unwrap();
    assert_eq!(sync().await.unwrap().unchanged, sources.len());
    let (after, _) = list(world.persistence.pool(), &all, Page::default()).await.unwrap();
    let times = |rows: &[devpocket_actors::persistence::templates::Template]| {
        rows.iter().map(|row| row.updated_at).collect::<Vec<_>>()
    };
    assert_eq!(times(&before), times(&after));
}

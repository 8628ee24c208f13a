"""Stored data. The only folder that uses Beanie and PyMongo; reach everything as `models.X`."""

from models.accounts.api_keys import (
    ApiKey,
    ApiKeyRecord,
    ApiKeyScope,
    api_key_of,
    api_keys_of,
    delete_api_key,
    delete_api_keys,
    insert_api_key,
    use_api_key,
)
from models.accounts.documents import (
    AccountTier,
    CredentialRecord,
    Device,
    DeviceKind,
    DeviceRecord,
    Login,
    LoginRecord,
    Preferences,
    PreferencesRecord,
    Role,
    SecondFactor,
    SecondFactorRecord,
    User,
    UserRecord,
)
from models.accounts.edits import (
    change_email,
    change_password,
    edit_profile,
    end_sessions,
    forget_password,
    mark_deleted,
    reset_password,
    set_role,
    set_tier,
    verify_email,
)
from models.accounts.logins import (
    Rotation,
    active_logins,
    delete_logins,
    displaced_login_ids,
    insert_login,
    keep_login,
    login_of,
    recent_login_ids,
    revoke_logins,
    rotate_login,
)
from models.accounts.mails import (
    MailPurpose,
    MailRequest,
    MailRequestRecord,
    MailToken,
    MailTokenRecord,
    Registration,
    RegistrationRecord,
    delay_mail_request,
    delete_mail_request,
    delete_mail_tokens,
    insert_mail_request,
    insert_mail_token,
    mail_token_of,
    take_mail_request,
    use_mail_token,
)
from models.accounts.revocations import RevocationStore, RevokedAccess, RevokedAccessRecord
from models.accounts.second_factors import (
    confirm_second_factor,
    mark_login,
    remove_second_factor,
    start_second_factor,
    use_recovery_code,
    use_step,
)
from models.accounts.writes import (
    credential_by_id,
    credential_of,
    insert_user,
    list_users,
    registered_emails,
    replace_password_hash,
    users_by_id,
)
from models.catalog.counts import (
    COUNTED_EXACTLY,
    Count,
    CountPrecision,
    count_movies,
    count_shows,
)
from models.catalog.documents import (
    Credit,
    CreditRecord,
    Department,
    Episode,
    EpisodeRecord,
    Genre,
    GenreRecord,
    Movie,
    MovieRecord,
    Person,
    PersonRecord,
    Season,
    SeasonRecord,
    Show,
    ShowRecord,
    ShowStatus,
    TitleRecord,
)
from models.catalog.imported_titles import (
    ImportedTitle,
    ImportedTitleRecord,
    hide_titles,
    respect_edits,
)
from models.catalog.lists import (
    decode_description,
    encode_description,
    is_changed_by,
    tags_near,
    tags_of,
    tags_of_genres,
)
from models.catalog.movie_edits import MovieEdit, edit_movie, insert_movie, movie_to_edit
from models.catalog.pages import read_movie_page, read_movie_pages, read_show_page
from models.catalog.paths import FEW_KEYS, choose_path, forget_sizes
from models.catalog.people import title_ids_by_person
from models.catalog.queries import (
    MovieCategory,
    MovieFilter,
    MovieOrder,
    MovieOrderField,
    MoviePage,
    MovieQuery,
    OrderDirection,
    sort_value,
)
from models.catalog.search.lexicon import SearchWord, SearchWordRecord
from models.catalog.search.matching import fold_query, is_word_ended
from models.catalog.search.rebuild import Rebuilt, rebuild_search
from models.catalog.search.retrieval import SearchKind
from models.catalog.search.search import (
    SearchHit,
    SearchHits,
    search_names,
    suggest_names,
)
from models.catalog.shows import (
    EpisodeInOrder,
    EpisodePlace,
    aired_episodes,
    episodes_at,
    episodes_of_seasons,
    episodes_of_shows,
    seasons_of_shows,
)
from models.catalog.statistics import GenreFigures, figures_by_genre
from models.catalog.writes import BATCH, Changes, batches, delete_documents, upsert
from models.database import connect_database
from models.deployment import is_replicated
from models.indexes import IndexPlan, apply_indexes, plan_indexes
from models.mongo import ids
from models.mongo.base import DOCUMENTS, EPOCH, IdentifiedRecord, Record, StoredDocument, utc_now
from models.mongo.guard import latest_refusal
from models.mongo.read_preference import collection_for_reads, read_from_primary
from models.mongo.reading import Fields, find, find_by_id
from models.ops import purges
from models.ops.audit import (
    AuditEntry,
    AuditEntryRecord,
    AuditEvent,
    audit_entries,
    insert_audit_entry,
)
from models.ops.jobs import (
    Job,
    JobEnd,
    JobRecord,
    JobState,
    claim_job,
    count_open_jobs,
    finish_job,
    heartbeat_job,
    insert_job,
    last_succeeded_job,
    release_job,
)
from models.ops.provider_settings import (
    ProviderSetting,
    ProviderSettingRecord,
    all_provider_settings,
    change_provider_setting,
)
from models.ops.purges import Purge, PurgeRecord, PurgeState
from models.ops.pushed_documents import (
    MAX_RELEASES,
    DocumentCopies,
    DocumentRelease,
    DocumentReleaseRecord,
    PushedDocument,
    PushedDocumentRecord,
    ReleaseName,
    delete_pushed_documents,
    delete_releases,
    insert_pushed_documents,
    list_pushed_documents,
    list_releases,
    mark_pushed_used,
    store_release,
)
from models.ops.registered_documents import (
    RegisteredDocument,
    RegisteredDocumentRecord,
    mark_registered_used,
    store_registered_document,
    trim_registered,
)
from models.personal_data import (
    PERSONAL_DATA,
    DeletedUser,
    PersonalData,
    delay_erasure,
    drop_deleted_user,
    erase_personal_data,
    personal_playables,
    read_personal_data,
    take_deleted_user,
)
from models.ping import ping_database
from models.playback.documents import (
    LiveProgress,
    PlaybackSession,
    PlaybackState,
    ProgressRecord,
    ViewingProgress,
    device_tag,
    is_later,
    live_progress,
    milliseconds,
    playback_session,
    progress_base,
    progress_id,
)
from models.playback.progress_reads import progress_by_playable, watched_progress
from models.playback.progress_repairs import (
    ProgressRepair,
    ProgressRepairRecord,
    close_repairs,
    list_open_repairs,
    open_repair,
    replace_progress,
)
from models.playback.progress_writes import ProgressWrites, write_progress
from models.playback.sessions import (
    mark_session_in_redis,
    open_session,
    playback_session_record,
    recent_sessions,
    store_session,
    stored_session,
)
from models.playback.viewing_reads import (
    has_history_beside,
    infer_ends,
    read_history,
    viewings_by_id,
)
from models.playback.viewing_writes import delete_viewing, delete_viewings, write_viewings
from models.playback.viewings import (
    StoredSession,
    StoredSessionRecord,
    Viewing,
    ViewingRecord,
    viewing_id,
    viewing_record,
)
from models.playback.views import count_views, is_view
from models.playback.watchlist import (
    WatchlistEntry,
    WatchlistEntryRecord,
    add_to_watchlist,
    on_watchlist,
    read_watchlist,
    read_watchlist_beside,
    remove_from_watchlist,
)

//! Common words of English, to tell a text that holds hardly one of them from English: a flat table, without words that are also small
//! words of other languages. Forms of a word (`adds`, `added`, `adding`) are found through it.

use std::collections::HashSet;
use std::sync::OnceLock;

/// The words, in the order of the alphabet.
const WORDS: &str = " \
    abandoned abbreviated abbreviating abbreviation abc ability able about above abramson absent absolute abstract \
    abstraction accelerate acceleration accept acceptable access accessible accessor accident accomplished according \
    accordion account accountant accumulate accuracy accurate achieve achievement acquire acre across act action \
    activate active activity actual adapt add addition additional additive addr address adhere adjacent adjust \
    administrative administrators admitted admixture admonition adopt ads adult advance advantage advertised \
    advertising advice aerobics affect afford afl aforementioned after afternoon again against agamemnon age agent \
    aggregate ago agree agreement ahash ahead aim air airport aka alarm alert algorithm alias alight align alignment \
    alike alive all allergic alloc allocate allocation allocator allotted allow allowable allowance almonds almost \
    alone along alongside alpha alphabet alphanumeric alphanums already also alternate alternative although \
    altogether aluminum always ambiguous among amongst amount amusement analog analogous analysis analyze anarchic \
    ancestor anchor and android anes angle animal animation anniversary annotate annotation annual anonymous another \
    ansi anstyle answer antique ants any anyhow anymore anyone anything anyway anywhere apache apart apartment apes \
    api apiece apointments app appauthor appear appearance append appendix apple applicable application appname \
    appointment approach appropriate approximate approximation apricots apt aquarium arbitrarily arbitrary arcade \
    arch architecture archive are area aren arg argcomplete arglist argparse argument arithmetic arm around arr \
    arrange array arraydeque arrive arrow art article artist ascii aside ask aspects asphalt assemble assembly \
    assert assertion assign assignment assist assistance assistant associate associatedconstant assume assumption \
    ast asterisk async asynchronous asyncio ate athlete athletic atom atomic atop attach attack attempt attend \
    attendance attention attr attract attrib attribute audience audio auditorium augment auth authenticate \
    authentication author authority authorization authorship auto autocfg automata automatic automatically automaton \
    availability available avalanche average avocado avoid await awakened award aware awash away aws axe baboons \
    baby babysit babysitting back backend background backoff backpack backreferences backslash backtrace \
    backtracking backup backward backyard bacon bad badge bag bagel baguettes bail bake bakery balance balcony bales \
    ball balloon bamboo banana band bandages bank bare barrels barrier bars base baseball baseline basement basic \
    basically basis basket basketball batch bathrobes bathroom batter battery baz beach bead beakers bean beanstalk \
    bear beat beautiful became because become bed bedroom beef been beer bees beeswax beetle before began begin \
    beginners beginning begonias behalf behave behavior behaviour behind behold being believe belong below belt \
    bench benchmark benefit berry beside best bet beta better between beyond biases bicycle bid bidding \
    bidirectional big bigger biggest bigint bike bill billion bin binary binascii bind bindgen bird birth birthday \
    bit bitflags bitmap bitwise bizarre black blackberry blank bleach blink block blog blood bloomed blouse blows \
    blue blueberry blutwurst board boat body boilerplate bold boletus bologna bolt bon bond bonus book bookstore \
    boolean boot border born borough borrow both bottle bottom bought bounce bouncy bound boundary bouquet bow bowl \
    box boy boyfriend bpo brace bracelet branch brand bread break breakage breakfast breakpoint brewing bride bridge \
    brief brightgreen brindle bring broad broadcast broccoli broke broken brokerage brother brought brown brownies \
    browser bstr bubbling bucket buckle bucks budget buf buffer bug buggy build built builtin bulk bull bully bump \
    bunch bundle burger buried burn burrito burst bus bush business busy but butter butterscotch button buxton buy \
    bypass byte bytearray bytecode byteorder bytestring cab cabbage cable cache cafile cage cake calculate \
    calculation calculator calendar call calla callable callback calligraphy calorie calumny calypso came camel \
    camera camino campaign campus can canary cancel cancellation cancelled cancelling candidate candle candy cane \
    canned cannot canoe canonical cantaloupes canvas cap capability capable capacity capital caption capture car \
    card cardinal care careful caretaker cargo carnations carnival caroling carpenter carpet carriage carrot carry \
    cart carton case cash cashback cashier cassette cast castles casualty cat catch category caterer catering caught \
    cauliflower cause cave cdrom ceiling celebrating celery cell centimeters central century cereal cert certain \
    certfile certificate cfg chain chair chalk challenge chamomile chance chandelier change changelog channel char \
    character charge charity charset chart chat cheapest check checkout checksum cheddar cheerleader cheerleading \
    cheese cheesecake chef cherry chest chew chicken chihuahua child children chimichangas chip chocolate choice \
    choir choose chop chore chosen chunk church ciborium cinema cinnamon cipher ciphertext circle circular \
    circumference citrus city claim clap clarinet clarity class classdef classic classifier classmates classmethod \
    classroom clause clay clean cleanup clear cli click client climb clinic clip clock clone close closest closure \
    clothes clothing cloths clouds cloudy clownfish cls club clues cluster clutch cmd cmp coach coachman coal \
    coaster coat cobra cocktail code codec codecov codename codepoint coefficient coerce coffee cognac coherent coin \
    col cold collapsed collapsing collar collect collection collectively collector college collie collision colon \
    color colorstring column comb combination combine combo come comet comfortable comforter comic comma command \
    comment commission commit commitments committed common communication community comp compact companion company \
    comparable compare comparison compat compatibility compatible competing competition compilation compile \
    complement complete completion complex complexity compliance compliant complicated component compose composite \
    composition compound comprehensive compress compression compresslevel compressor computation compute concatenate \
    concatenation concept concert concrete concurrency concurrent condiments condition conditional conduct cones \
    confidence confident confidential config configurable configuration configure confirmation conflict conform \
    confusing congregate conjunction conn connect connection connector consecutive consequence conservative consider \
    consist consistency consistent console const constant constraint construct construction constructor consult \
    consume consumption contact contain contemporary content contention contest context contextmanager contextual \
    contiguous continuation continue contract contractor contrast contravariant contrib contribute contribution \
    control controlled controlling convenience convenient convention conversation conversion convert convertible \
    convince cook cookbook cookie cool coordinate copy copyright coral cords core corn cornerstone coroutine corpus \
    correct correctness correspond cortex cost couch cougars could couldn council count counterfactual counterpart \
    country county couple coupon course court cousin covariant cover coverage cow cpp cpu cpuid crabs cracked \
    crackers craft craftsman crash crate crawfish crawl crayon crc cream create creation creative creativity \
    credential credit crepe crew criteria criterion critical crocodile croissants cross crossbeam crossword crow \
    crown crude cryptic crypto cryptographic cryptographically cryptography csv ctor cube cubic cubs cucumbers cuda \
    cudaforge cudarc cultural cumulative cup cupboard cupcakes curl currency current cursor curve custodian custom \
    customization customize cut cutting cycle daachorse dad daddy daemon dahlias daily dairy daisies damage damp \
    dance danger dangerous dark darkle darling data database dataclass datagram dataset date datetime daughter day \
    dbm dbus dead deadline deadlock deal dealership dean debt debug debugged debugger debugging decade decadent \
    decide decimal decision declaration declarative declare decode decompression decor decorate decorator decrease \
    decrement dedicated deduce deduplication deemed deep deer default defect defense defer deficit define definitely \
    definition deflate degree dehumidifier delay delegate delete deletion deliberately delicious delimited delimiter \
    delimiting deliver delivery delmarva delta demand demo demonstrate denial denominator denote dense dentist deny \
    department depend dependency dependent deposit deprecated deprecation depreciated depreciates deps depth deque \
    derive desc descended descending describe description descriptor deserialization deserialize design designated \
    desirable desired desk desktop despite dest destination destroyed destruction detail detect detection detector \
    determine deterministic detour dev development deviation device deviled dew diagnostic diagram dialog diamond \
    diaper diatom dice dict dictionary did didn diet diff difference different difficult digest digging digit \
    digital digs dimension dinner dinosaur dir direct direction directive directory dis disable disallow discard \
    disconnect discord discount discouraged discourse discover discovery discuss discussion dish dishwasher disjoint \
    disk dispatch display disposition dissipate dist distance distinct distinction distinguish distr distribute \
    distribution distro distutils div divide divisible division dnieper doc dock docsrs docstring doctest doctor \
    document documentation does doesn dog doing doll dollar dolor domain don donate donations done donkey donut door \
    doorbell dose dot dotted double doubt doughnut down download downpayment downstream dox dozen dpkg draft dragon \
    drank draw drawn dress drill drink drive driven driveway dromedaries drop dropped dropping drove drum dry dst \
    dtext dtoa dual duck due dug dumb dumbbell dummy dump dumpling duplicate duration during duty dwarf dwarves dyn \
    dynamic dynamically each eager ear earlier earliest earn earth easier easily east easy eat eaten echo ecosystem \
    edge edit editable edition editor edt effect effective efficiency efficient effort egg eggnog eggplant eight \
    eighth either elaborate elapsed eldest election electric electricity electronic elem element elevation elevator \
    eleven eliminate else elsewhere elves email embed embedded embedder embedding emeralds emission emit emitted \
    emitting emoji employee empty emsp emulate enable enc enclosed enclosing enclosure encode encore encounter \
    encourages encrypt encryption end endian endpoint energy enforce engine engineering enigma enjoy enormous enough \
    enrolled enrollment enrolls ensp ensure enter entire entitled entity entrance entropy entry entrypoint enum \
    enumerated enumeration env envelope environment environmental eol eosine episode epoch eprintln equal equality \
    equation equipment equivalent eraser ergonomic err errands errno error erudite escape esp especially essential \
    establish estate estimate evaluate evaluation even event ever every everyday everyone everything evidence evolve \
    exact examine example exc exceed except exception exchange exclude exclusion exclusive exec executable execute \
    execution executor exempt exercise exhaustive exist existence existent exit exp expand expansion expect \
    expectation expenditure expensive experience experiment experimental expiration expire expiry explain \
    explanation explicit explode explore exponent exponential export expose expr express expression expressive ext \
    extend extensible extension extensive extent exterior extern external extoller extra extract extraction extreme \
    eyeshadow fabric face facility fact factor factory faculty fail failobj failure fair fairy falcon fall fallback \
    fallen fallible false falsetto falter familiar family famous fancy faq far farm farther fasciculate fashion fast \
    fastest fastrand fatal father fault faulty favor favorite feature fed fee feedback feel feet fell female fence \
    fermi fertiliser fetch few fiber field fifteen fifth fifty fight figural figure file filename fileobj filepath \
    filesystem fill fillvalue film filter final finalized finalizer financial find fine finger fingerprint finish \
    finite fips fire fireman first fish fit five fix flag flagstones flamboyant flames flamingos flan flash \
    flashlight flat flatten flavor flew flexibility flexible flight flip float flock floor floral florist floruit \
    flour flow flush flute fly fmt focus fog fold foldhash folks follow font food foot footage football footprint \
    for forbidden force forceload foreground foreign forest forgery forget forgot fork form formal format formatted \
    formatter formatting formula forth forthwith forty forum forward found fountain four fourth fox fraction \
    fractional fragile message fragrance frame framework free freelance freeze french frequency frequently fresh \
    fridge friend frog from front frost frozen frozenset fruit fruity fry fst ftp fudge fuel fulfill full fullname \
    fully fun func funcname function functional functionality functools functor fund fundraise fungi further future \
    fuzz fxhash gadgets gaillardia gain gallon game gamma gap garbage garden garlic garment gas gasoline gate \
    gateway gather gave gazpacho gcc gear geese geld gems gemstone gencodec general generate generation generator \
    generic generically generous geometry geraniums gerbils get getrandom getting giant gif gift gingerbread girl \
    girlfriend git github give given glamour glance glass glee glib glibc glob global globset gloria glue gmail \
    gneiss gnu goal goat gobble goes going gold golden goldfishes golf golfers gone good gorillas got gotten gpt gpu \
    gracefully grade graders graduate graham grained grains grammar grams grand grandchildren grandma granit granola \
    grant granular grape graph grapheme graphics grass gravel gray great greedy greek green grew grocery groom gross \
    ground group grow grown growth gruyere guarantee guard guess guest guidance guide guidelines guinea gum gumballs \
    gun gust gut gym gzip had hadn hair haircut half halfway hall halves ham hamburgers hamster hand handbag handful \
    handle handshake handwritten handy hang hanzi happen hard hardware harness harvest has hash hashable hashbrown \
    hashlib hasn hat hatchback haul have haven hawk hay haystack head headphone health healthy heap hear heartworm \
    heat heavily heavy heck hectare heels height held helical helium hello helmets help helpful helpfulness hence \
    hendrickson her herd here hereby herself hesitate heuristic hex hexadecimal hid hidden hide hierarchical \
    hierarchy high highest highlight highway hike him himself hint hip hire his historical history hit hive hobby \
    hold hole home homemade homework honey hood hook hop hope hopefully horizontal horse hospital host hostile \
    hostname hot hotdog hotel hour house household housekeeping how however howl html httplib hub huge human \
    humanities hummingbird hump hungry hunt hurdles husband hybrid hyper hyphens hypothalamus ializing iana ice idea \
    ideal idempotent ident identical identification identifier identify identity idf idiomatic ids idx ietf iff \
    ignorable ignore illegal illumos illustrated image img immediate immutable impact impartial impl implement \
    implementation implementor implications implicit imply import importable important importlib impossible improve \
    improvement inch include inclusion inclusive income incompatible incomplete inconclusive inconsistent \
    incorporate incorrect increase increment incremental indeed indefinitely indent indentation independent index \
    indicate indicatif indication indicator indices indirect indistinguishable individual indoeuropean indoor \
    inducing industrial inexact inf infected inferred infinite infinity inflammation inflate influence info inform \
    information informational infrastructure ingredients inhabitants inherently inherit inheritance iniquity initial \
    initialization initialize inject ink inline inmate inner inp inpatient input insect insecure insensitive insert \
    insertion inside insights insist insofar inspect inspection inspiration inspired insta install installable \
    installation instance instantiate instantiation instead instructed instruction instrument insurance intake \
    integer integral integrate integration integrity intelligence intelligent intend intention intentional interact \
    interaction interactive intercept interest interface interfere interior intermediate intermission internal \
    internet interoperability interpolated interpolating interpolation interpret interpretation intersection \
    interspersed interval intervening interview into intrinsic introduce introduction introspect introspection ints \
    invalid invariant inventory inverse invested investment invests invisible invite invocable invocation invoke \
    involve ipaddress ipsilateral ipsum iron irreducible ish islamabad island isn iso isolated isolation issue \
    italic item iter iterable iterate iteration iterator itertools itoa its itself ivar jack jacket jackfruit jam \
    jane jar javelin jay jazz jeans jello jelly jellybeans jellyfish jerky jewelry jiff jigsaw jimmy jitter job joe \
    jog jogger john join joint jordan journal journey json judge juggle juice jumbo jump junior junk jury just \
    justify kangaroo kanji karat karts keep kept kernel key keyfile keyring keystore keyword kick kid kill kilo \
    kilogram kilometer kilowatt kind king kiss kitchen kitten kiwis knew knit knitting know knowledge known koalas \
    kruger kwarg lab label labile labor lace lack lake lambda lamp land landscaping lane lang language lap laptop \
    large largest last late latency latest latin latter launch laundry lawn lawnmower lawyer lay layout lazily lazr \
    lazy lbs lead leaf leak learn least leather leave led ledge left leftmost leftover leg legacy legal legged \
    leggings lego lemburg lemon lemonade length less lesson let letter lettuce level leverage lexer lexical \
    lexicographically lib libc libcore libfuzzer library libstd libya license life lifetime lift light lightgray \
    lighthouse lightweight like likelihood likewise lily limbs limit limitation limousine line linear lineno linesep \
    link linkage linux lion lipton liquid list listen lite literal little live llama load loaf loan loaves loc local \
    locale localhost locate location locator lock log logarithm logged logger logging logic logical login logits \
    logo lollipop long longest look lookahead lookup loop loose loquats lorries lose loss lossy lost lot loud lounge \
    love low lowercase lowest loyalty luge luggage lumber lunch mac macaroni machine machinery macro made madeleine \
    magazine magic magnesium magnets magnitude mail mailbox mailcap main maint maintain maintenance major make \
    makeup mal male malformed mall mamba man manage management manatee mandatory mangoes manicure manifest \
    manipulate manipulation manner manual many map mapped mapping marble margin marigolds mark markdown market \
    markobject markup marque married marshmallow martinson mashed mask mass mast match material math mathematical \
    matrix matter max maximal maximize maximum maxlen maxlinelen maxsize maxsplit may maybe mbox mdash meager meal \
    mean meaningful meant measure measurement meat meatball mechanic mechanical mechanism medals media median \
    medical medicine meditates medium meet melons melt mem member membership membrane memchr memo memoize memorize \
    memory men mental menu merchant merely merge message meta metaclass metadata metal metavar meteor meter meth \
    method metric mice micro microphones microsecond microwave mid midday middle middleware might migrate migration \
    mile mileage milk milkshakes milliliters millimeters million millipedes milliseconds mimalloc mime mimic min \
    mind mine mini minibusses minijinja minimal minimize minimum minivan minor mint minus minute mio mirror mirth \
    mismatch miss misspelled mistake mit mitigate mittens mix mixin mixture mkdir mkstemp mobile mock mod mode model \
    modern modification modifier modify modname module modulo modulus mom moment monetary money monitor monkey \
    monomer monospace month more morning mortem mortgage mosaic most mother motivation motorcyle motorway mount \
    mountain mouse mov move movement movie mow mozzarella mph mpsc mro msg msgpack msrv mtime much muddy muffin mug \
    multi multibyte multiline multipart multipath multiple multiplication multiply multiprocessing multithreading \
    multitudinous mural museum mushrooms music musical musl must musty mut mutable mutant mutate mutually nail naive \
    name namedtuple namespace nap narrow nasm native natural nature nbsp nbytes near nearby nearest neat nebulous \
    necessarily necessary necklace nectarine need negative negotiated neighbor neighborhood neither neon nephew \
    nested nesting net netloc netmask network neutral never new newest newline newspaper newtype next nice nickel \
    nigeria night nine ninth nobody nod node noise noisy nom nonce none nonempty nonfood nongendered nonnegative \
    nonzero noon nor normal normalised normalization normalize north northerly northern not notation note notebook \
    nothing notice notification notify notion nout novel now nth null num number numeric numerical numerous numlist \
    nurses nvcc oatmeal oats oauth oauthlib obj object objective obs obscure observe obsolete obtain obvious \
    occasions occupied occur occurred occurrence occurring ocean octal odd off offense office officers official \
    offset often oil okay old oldest olympic omelet omit omitted omitting omnipotent once one oneshot onion online \
    only onto opaque opcode open openssl operand operate operation operator opinion opinionated opportunity opposed \
    opposite ops opt optimal optimization optimize option optional optparse orange orbits orchard orchids order \
    ordinal ordinarily ordinary ore orientation oriented origin original orphan other otherwise ounce our out \
    outcome outdated outdoor outfit outline output outside oven over overall overdue overflow overhead overlap \
    overlapped overlapping overload overridden override oversee overtime overview overwrite overwritten owe owl own \
    ownership pace pack package packet packrat pad padded padding page paid painkillers paint pair pairwise palette \
    palindrome panic panicked panicking pans pants paper par paradigmatic paragraph parallel param parameter parent \
    parentheses parenthesis park parlor parmesan parsable parse part partial participate particular partitions \
    partners party pass passion passphrase passwd password past pasta paste pastey pastry patch path pathlib \
    pathname patient patt pattern pay paycheck payload payment pdb peach peanuts pears pedicure peel peer pen \
    penalty pencil pending penguins penny penpals pension people pep pepper pepperoni percent percentage perceptive \
    perf perform performance performant perfume perhaps perimeter period periodically permanent permission permit \
    permitted permutation persistent person personal pervasive pesos pest pet petals petunias pgen phase phenomenon \
    phillip philosophy phone photo photograph phrase physical piano pick pickaxe pickle picnic pics picture pid pie \
    piece pig pigeons piggy pile pillow pills pin pineapple ping pink pinned pints pip pipe pipeline pirate pixels \
    pixmap pizza pkey pkg pkgutil place placeholder placement plain plaintext plan plane plank planned planning \
    plant plastic plate platform platters plausible play playground playlist please plugin plum plus pma pmull \
    pocket pod poeple point pokemon pole policy political poll polyester polygon pomegranates pomelos pond pool pop \
    popcorn popped popping popsicle popular populate population porcelain porcupine pork port portable portion \
    portrait pos position positional positive posix posixpath posn possession possibility possible possibly post \
    postage posterior potato potential pothole pots potted potting pound pow powerful ppd pprint practical practice \
    prank pray pre prebuilt prec precedence precise precision predefined predicate predictable prefer preference \
    preferred prefix prelude premium preparation prepare prepend prepping preprocessor presence present presentation \
    preserve presumably pretty prettyplease pretzels prevent previous price prig primarily primary prime primitive \
    principal print printable println prior prioritize priority pristine private privileged prize probability \
    probably probe problem proc procedural proceed process processor produce product production professional profile \
    profit prog program programmatically programmer programming progress project projection promote promotion prompt \
    proof propagate proper property proportion proportional proposed proptest proscenium protect protection protein \
    proto protocol provenance provide proxy prune pseudo ptr pty pub public publish puffs pull pulp pump punches \
    punctuation pupils puppy purchase pure purple purpose purse push pushups put putting puzzle pyc pydoc pygments \
    pyparsing pyproject pyramid python quad quadratic quadruple quagmire quail qualify quality quantum quart quasi \
    query question queue quiches quick quiet quilt quit quite quiz quizzes quotation quote rabbit raccoon race \
    racquets radiator raft railroad rain rainbow rainwater raise raisins ran rand random randomness rang range rank \
    rare raspberry raster rat rate rather ratio rational rationale raven raw rax rayon razor rdme rdr reach \
    reachable reactions read readable readline readme ready real realized realizes realm realname reapplies reason \
    reasonable reasonably rebar reborrow receive recent reception recipe recognize recommend recommendation record \
    recovery recreate rectangle rectangular recursion recursive recycle red redb redefine redirect redirection \
    reduce reduction redwood ref reference referred referring reflect refresh refrigerator refund refusal regardless \
    regenerate regex regexp region register registration registry regression regret regular regulation reject \
    related relation relationship relative relay release relevance relevant reliable relocated rely remain remainder \
    remember remind remote removal remove rename render renderable rent rental repair repave repeat repetition \
    repetitive replace replacement reply repo report repository repr represent representable representation \
    representative reproduce reproducibility reproducible req request require requirement reqwest res rescheduled \
    research resembles reserve reset residual resistance resizemode resolution resolve resort resource resp respect \
    respective respond response responsibility responsible rest restart restaurant restore restrict restriction \
    result resume ret retain retire retirement retrieve retry return returncode reunion reusable reuse rev revenue \
    reverie reverse reversible review revision revocation revoke reward rewind rewrite rfc rgb ribbon rice rich rid \
    ride riders right rightmost ring rink rise risk river rng road roadside roaming robin robots robust rock rode \
    rodents role roleplay roll rollover roof room roommate root rope rose rosette rotate roughly round roundtrip \
    route routine row rowley roxmltree rtype rubies rug ruined rule run runner running runtime rust rustc rustdoc \
    rustflags rustfmt rustix rustls rustup rustversion ryu sack sad safe safetensors safety said salad salary sales \
    salesman salon salt same sample sandcastle sandwich sanitizer sans saphyr sapphire sat satisfy sauce sausages \
    saute save saw say scalar scale scan scanned scanner scanning scared scarf scavenge scenario scene scents \
    schedule schema scheme school science scientific scipy scoop scope scorch score scotch scout scraping screechy \
    screen screws script scrub sdist sea seagull seamless search seashell seashore seasoning seat second secondary \
    secret secretary section secure security sedan see seealso seek seekable seem seen segment select selection \
    selector selfie sell semantic semaphore semester semi semicolon semver send senior sense sensitive sent sentence \
    sentinel sep separate separator seq sequence sequential ser serde serial serializable serialization serialize \
    series serum serve service session set setting setup setuptools seven seventeen seventh seventy several severity \
    shadow shaken shall shallow shampoo shape sharded shards share shark she shebang sheep sheet shelf shell \
    shellexpand shelter shield shift shim shingle ship shipped shipping shirt shoe shoeboxes shop shoplifters \
    shoplifting shopping shore short shortcut shortest shorthand shot should shouldn show shown shr shrimp shrink \
    shutdown sick side sidewalk sig sigh sightseeing sigma sign signal signature significant silent silo silver simd \
    simdjson similar similarity simple simplest simplicity simplify simply since sing single singleton sink sister \
    sit site situation six sixteen sixth size skein skip skipped skipping skirt sky slab slash slats sleep \
    sleepwalking sleeve slept slew slice slide slips slot sloth slow small smallest smart smashes smell smore snack \
    snail snake snap snapshot sneakers snip snipe snippet snowball snowflake snowshoes snuck soccer social sock \
    socket soda sofas soft software soil sojourn sold soldiers solely solid solo solution solve some somehow someone \
    something somewhat somewhere son song soon sophisticated sort sound soundness soup sour source sourcecode south \
    southeastern southerly southern souvenir spa space spam span sparse spat speak spear spec special specialized \
    specific specifically specification specifier specify speed spend spent spider spin spinner spinning spirit spit \
    splash split splitting spoken sponsor spools spoons sports spot spouse sprayed spread spring sprinkles square \
    squats squirt src ssl stability stabilized stable stack stackoverflow stage stale stalk stall stamp stand \
    standalone standard standardized standstill staple star starfish start startup stat state statement static \
    statically station statistical statistics statrs status stay std stderr stdin stdlib stdout steak steakhouse \
    steals steel stem step sterling stew stick still stink stitch stock stole stone stonewort stop stopped stopping \
    storage store story stove straight straightforward strange strategy straw strawberry stream street streetlights \
    strict string strip stripped stripping strive strong strsim struct structural structure stub stuck student \
    studio study stuff style sub subclass subcommand subdirectory subexpression subject submission submit submitted \
    submodule subnet subnormal subparts subpath subpatterns subprocess subreddit subscriber subscription subsequence \
    subsequent subset substantial substitute substitution substring subtle subtract subtraction subtree subtype \
    succeed success successful successive such suckers suddenly sudo sudoku sufficient suffix sugar suggest suit \
    suitable suitcases suite sum summary summer sun sunbathing sunflower sunglasses sunscreen super superclass \
    supermarket supply support suppose suppress sure surface surprise surrogate surrogateescaped surrounded \
    surrounding survive suspicion swam swap sweater sweet swim swimming switch syllabus symbol symbolic symlink \
    symmetry syn sync synchronization synchronous syndrome synstructure syntax synthetic sys syscall sysconfig \
    sysinfo system tab table tablespoon tablet tabloid tabsize tabular tadpoles taffy tag tagged tail tailored take \
    taken talent talk tall tallest tank tap tapped tapping tar target targetpath tarinfo tart task tasting tattered \
    taught tax tea team teaspoonfuls teaspoons technical technique teddy tedious teen teenagers teeth telephone \
    television tell temp temperature tempfile template temporarily temporary ten tend tennis tensor tenth term \
    terminal terminate termination terminator termites test text textbook textual texture than thank that the \
    theater theatre their them theme themselves then therapy there thereby therefore thereof these they thick \
    thickness thin thingamabob think third thirdhand thirty this thiserror thorns thorough those though thought \
    thousands thread three threshold threw thrice through throughout throughput throw thrown thunderclap thus ticket \
    tidy tie tilde tile time timedelta timeout timestamp timezone tins tiny tip tire title tmp toad toaster today \
    toffee together toggle token tokenize tokenstring tokentype tokio toks told tomato tomorrow ton too took tool \
    toolchain toolkit tooth toothpicks top topaz topic topmost torch total touch tour tourists tournament tow toward \
    towel town toxic toxicity toy trace traceback track tractor trade traditional traffic trail train trait trammel \
    transaction transfer transform transformation transformers transient transition transitive translate translation \
    transmission transmit transmitted transparent transport trap trapezoidal trash travel traversable traversal tray \
    treasure treat treatment tree triangle triceratops tricky tricycle trie trigger trim trimmed trip triple triplet \
    trivial trng trombone trouble trousers truck true truly trumpet truncate trust truth truthy try tty tub tube \
    tulips tuna tune tunnel tuple turn turtle turtleshape tutored tutoring twelfth twelve twenty twice twin two typ \
    type typechecker typenum typewit typical tzinfo ucd uid umask unable unaffected unambiguous uname unary \
    unauthenticated unauthorized unavailable unbound uncertain unchanged uncle unclear uncompressed undefined under \
    underline underlying underneath underscore understand understood undo unexpected unfinished unicode unicorns \
    unicycle uniform uninitialized uninstallation union unique unit unittest universal unix unknown unless unlike \
    unlocked unmanned unmodified unnamed unnecessary unoccupied unofficial unpack unpaired unpickling unpinned \
    unpredictable unreachable unrecognized unrelated unripe unroll unsafe unset unshaken unsigned unsold unspecified \
    unstable unsupported untagged until untrusted untyped unusable unused unusual unversioned unwashed unwrap \
    upcoming update upgrade upload upon upper uppercase upright ups upstream uri url urlencoded urllib usable usage \
    use useful username usize usual utensils utf util utility utilize uuid vacation vaccines vacuum val valid \
    validate validation validator validity value vanilla var variability variable variance variant variation variety \
    various varname varnish varsity vary vase vcs vec vector vegetable vegetarian vehicles vehicular velociraptors \
    vending vendor venue venv verb verbatim verbose verbosity verdict verification verifier verify versa version \
    versionadded versionchanged vertex vertical vertices very veteran veterinarian via vice video view violence \
    violin virtual virtualenv vis visibility visible visit visitor visual vlogs vocabulary volleyball volume vote \
    voters voucher vpclmulqdq vulnerable wage wagon wait wake walk walkdir wall wallpaper walnuts want warehouse \
    warm warn was wash washings wasm wasn wasted watch water watermelon watts wave way weak weakref wear wearers \
    weather web webencodings webpki website wedding week weekday weekend weigh weight welcome well went were weren \
    west westward wet whale what whatchamacallit whatever wheat wheel when whence whenever where whereas wherever \
    whether which whichever while whirligig white whiteboard whitespace who whole whom whose why wicks wide widget \
    width wife wiki wild wildcard will win wind window wine wings winner winning winter wintypes wire wish with \
    withdraws withheld within without witness woke wolves women won wonders wood wooden wool worcestershire word \
    work workaround workday workflow workforce workplace workshop workspace world worn worry worse worst worth would \
    wouldn wrap wrapped wrapper wrapping writable write writeable written wrong wrote wtr xet xml xyz yak yam yaml \
    yang yanked yard yarn year yellow yes yesterday yet yield yoga yogurt york you young youngest your yourself \
    zebra zero zerocopy zerovec zest zip zipfile zlib zone zoo zookeeper zulip ";

/// What forms of a word end with, and what the word itself has instead.
const ENDINGS: [(&str, &[&str]); 9] = [
    ("ies", &["y"]),
    ("ied", &["y"]),
    ("es", &["", "e"]),
    ("s", &[""]),
    ("ed", &["", "e"]),
    ("d", &[""]),
    ("ing", &["", "e"]),
    ("ly", &[""]),
    ("er", &["", "e"]),
];

/// What long words of no other language end with.
const ENGLISH_ENDINGS: [&str; 4] = ["ly", "ness", "ful", "less"];

/// Whether a word in lower case is a common one of English, or a form of one.
pub(super) fn is_common(word: &str) -> bool {
    static COMMON: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let common = COMMON.get_or_init(|| WORDS.split_whitespace().collect());
    let form = |(ending, others): &(&str, &[&str])| {
        let stem = word.strip_suffix(ending).filter(|stem| stem.len() > 1);
        let once = |stem: &str| others.iter().any(|other| common.contains(format!("{stem}{other}").as_str()));
        // `stopping`: the last letter comes twice.
        let twice = |stem: &str| {
            let short = &stem[..stem.len() - stem.chars().next_back().map_or(0, char::len_utf8)];
            others.contains(&"") && short.ends_with(|c| stem.ends_with(c)) && common.contains(short)
        };
        stem.is_some_and(|stem| once(stem) || twice(stem))
    };
    let own = word.len() >= 7 && ENGLISH_ENDINGS.iter().any(|ending| word.ends_with(ending));
    own || common.contains(word) || ENDINGS.iter().any(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_found_through_their_word() {
        for word in ["add", "adds", "added", "adding", "carries", "tried", "using", "stopped", "slowly", "boxes"] {
            assert!(is_common(word), "{word}");
        }
        for word in ["", "s", "ing", "nicht", "nie", "mondo", "siwezi", "palīdzēt", "é"] {
            assert!(!is_common(word), "{word}");
        }
    }
}

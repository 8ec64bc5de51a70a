"""Words of general pages. Verbs are regular and never double their last letter, so that their forms can be made."""

from __future__ import annotations

from rexplug_ecommerce.pages.word_lists import words

NOUNS = words(
    """
    answer argument arrival article attempt attitude author balance barrier beginning belief benefit border
    boundary branch bridge budget building campaign capital career chance change chapter character child choice
    circle citizen claim class climate coast collection college comment committee community comparison concept
    concern condition conflict connection consequence contract contrast conversation corner council country course
    cousin crisis critic crowd culture custom danger daughter deadline debate decade decision degree delay demand
    description desert detail dialogue difference difficulty direction disaster discovery discussion disease
    distance district doctor document doubt dream driver economy editor effect effort election element emergency
    emotion employer encounter enemy engine engineer entrance environment error estimate evening event evidence
    example exception exchange exercise expert explanation expression factor failure family farmer father feature
    festival figure forest form fortune foundation frontier function garden generation gesture glance government
    grandmother group growth guest guide habit harbour harvest hero hill history holiday horizon hospital hotel
    household hypothesis idea illusion image impact improvement incident income industry influence inhabitant
    initiative insect insight instance institution instruction interest interval interview invention island issue
    journal journey judgement kingdom kitchen lake landscape language lawyer leader lecture legend lesson letter
    library limit link literature logic loss machine majority manager manner margin market measure mechanism
    meeting member memory merchant message method minister mirror mission mistake moment monument morning mother
    motive mountain movement museum mystery narrative nation neighbour network newspaper notion novel object
    objection observer obstacle occasion ocean offer office officer opinion opponent option orchestra order origin
    outcome outline owner painter parent park partner passage passenger path pattern peasant penalty people period
    permission person perspective phase phrase pioneer place plain player poem poet policy politician pool
    population position possibility poster practice prediction preference presence pressure principle priority
    prison problem process professor programme project promise proof proposal prospect province publication puzzle
    quarrel quarter question railway range reaction reader reason rebellion record reference reform refugee region
    relation religion remark remedy report reputation research resident resource response responsibility result
    reward rhythm risk rival river road role roof room route routine rule rumour sailor scene scheme school
    science season secret section sector sentence sequence series servant session settlement shadow shape shelter
    shore sign silence situation sketch slope society soldier solution song sorrow source speaker species speech
    spirit square stage standard statement station statue step stranger strategy street strength structure
    struggle student subject suburb success suggestion summer supporter surface surprise survey suspicion symbol
    system tactic task teacher temple tendency territory theme theory threat title topic tour tower town trace
    tradition train transition traveller treaty trend trial tribe trouble truth university valley variation
    vehicle version victory village vision visitor voice volunteer voyage warning weakness weather wedding week
    widow winter witness worker workshop writer
    """
)

VERBS = words(
    """
    abandon absorb accept accompany achieve acquire address adopt advance affect alter announce answer appreciate
    approach arrange assemble assess attract avoid calculate challenge change claim clarify collect combine
    compare complete conceal confirm confront connect conquer consider construct consult contain convince correct
    count cover create criticise cross damage debate declare decline defend define delay deliver demand
    demonstrate deny describe deserve destroy determine develop disappoint discover discuss display divide
    document dominate dismiss earn echo educate emphasise employ enable encounter encourage endure enjoy enter
    establish estimate examine exceed exchange expand expect explain explore expose express extend favour follow
    force frame gather govern guard guide handle help highlight identify ignore illustrate imagine improve include
    increase influence inform inherit inspect inspire introduce invent investigate invite isolate join justify
    launch limit link maintain manage measure mention mirror modify monitor notice obey oblige observe obtain
    oppose organise outline overlook perform persuade portray possess postpone praise prepare present preserve
    prevent promise promote propose protect prove provoke publish pursue question raise reach recall receive
    recognise reconsider record recover reduce reflect reform reinforce reject release remember remove repair
    repeat replace report represent request rescue resemble resist resolve restore restrict reveal review reward
    sacrifice satisfy save separate settle shape share shelter simplify solve stabilise strengthen study suggest
    support surprise surround survey sustain symbolise tackle threaten tolerate trace transform trust unite
    unsettle uphold urge value visit warn weaken welcome
    """
)

ADJECTIVES = words(
    """
    abrupt absurd abundant accurate active actual additional adequate ambitious ancient annual anxious apparent
    appropriate available average aware awkward basic beautiful bitter blank bold brave brief bright brilliant
    broad busy calm capable careful cautious central certain cheap cheerful clear clever coastal cold colonial
    common complex complicated concrete confident constant contemporary controversial conventional correct costly
    creative critical crucial curious current cruel daily damp dangerous decent deep definite delicate dense
    desperate detailed different difficult digital direct distant distinct domestic doubtful dramatic dry eager
    early eastern economic elaborate elegant elderly empty enormous essential ethical evident exact excellent
    exceptional exotic expensive experimental explicit extensive external extreme fair faithful familiar famous
    fashionable favourable fierce final financial firm flexible foreign formal former fortunate fragile frequent
    fresh friendly frozen full fundamental generous gentle genuine gloomy gradual grand grateful grave harmless
    harsh heavy helpful hidden historic hollow honest hopeful hostile huge humble ideal identical idle illegal
    immediate immense imperfect important impossible impressive inadequate independent indirect inevitable
    informal initial inner innocent intense internal invisible isolated joint large lasting late legal leading
    limited literal little lively local logical lonely long loose loyal lucky major massive mature medical
    memorable mental mere mild minor missing mixed moderate modern modest moral mutual mysterious narrow native
    natural neat neglected negative nervous neutral noble noisy normal northern notable numerous obscure obvious
    occasional odd official old open ordinary original outer overall painful partial particular passive patient
    peaceful peculiar permanent persistent personal plain pleasant polite political poor popular positive possible
    powerful practical precious precise preliminary prominent proper proud public pure quiet radical random rapid
    rare raw ready realistic reasonable recent regional regular relative relevant reliable reluctant remarkable
    remote reserved rich rigid rigorous robust romantic rough royal rural sacred sad scarce scattered secure
    selfish sensible separate serious severe shallow sharp short shy significant silent similar simple sincere
    slight slow smooth social solemn solid southern spare special specific spectacular splendid stable standard
    steady steep strange strict striking strong stubborn subtle sudden sufficient suitable superficial surprising
    suspicious sympathetic temporary tender tense thick thin thorough tight tiny tired tough traditional tragic
    typical ugly ultimate unable uncertain unexpected unfamiliar uniform unique universal unknown unlikely unusual
    upper urban urgent useful usual vague vain valid valuable varied vast vigorous violent visible vital vivid
    voluntary vulnerable warm weak wealthy western wide wild willing wise wonderful worthy young
    """
)

ADVERBS = words(
    """
    abruptly actively almost already always apparently barely boldly briefly broadly carefully certainly cheaply
    clearly closely commonly completely constantly correctly curiously deeply deliberately directly eagerly easily
    entirely eventually evidently exactly fairly finally firmly formally fortunately freely frequently generally
    gently gradually greatly hardly hastily heavily honestly immediately independently largely later literally
    locally loosely mainly merely mostly naturally nearly never normally notably obviously occasionally often
    openly originally partly patiently perhaps plainly possibly precisely presumably previously privately probably
    promptly properly publicly quickly quietly rapidly rarely readily really recently regularly reluctantly seldom
    seriously sharply simply slightly slowly soon steadily still strangely strongly suddenly supposedly surely
    temporarily thoroughly typically ultimately undoubtedly usually widely
    """
)

FIRST_NAMES = words(
    """
    Ada Agnes Albert Alma Amos Anders Anita Arlo Astrid Basil Beatrix Bruno Cecil Clara Cora Cyrus Dagmar Delia
    Dimitri Dora Edgar Edith Elias Elsa Emil Enid Ernst Esther Felix Fiona Flora Frida Gideon Greta Gustav Hana
    Harriet Hector Helga Hugo Ida Igor Imogen Ines Ingrid Irma Isaac Ivo Jonas Judith Julius Karin Klaus Lars Leda
    Leon Lotte Lucian Ludwig Mabel Magnus Marta Matilda Maxim Mina Mira Nadia Nestor Nora Odette Olaf Oleg Olga
    Orson Oscar Otto Petra Philippa Quentin Ramona Rosa Rufus Ruth Sabine Selma Silas Simone Stella Sven Tessa
    Theo Tilda Tobias Ulla Ursula Vera Victor Viola Wanda Wilma Xenia Yara Yusuf Zelda Zora
    """
)

LAST_NAMES = words(
    """
    Abernethy Alcott Almgren Arkwright Ashdown Balfour Barlow Beckwith Bergstrom Blackwood Bramley Brandt Calloway
    Carver Castellan Chadwick Copeland Corbin Crane Dahlberg Darrow Delacroix Denholm Drummond Eastwick Ekdahl
    Ellery Engstrom Fairbank Falkner Farrow Fenwick Galloway Garrick Goddard Granger Grimshaw Hadley Halvorsen
    Harcourt Hawthorn Holloway Ibsen Ingram Jarvis Kendrick Kimball Kovacs Lambert Langley Lindqvist Lockhart
    Lovell Madigan Marchetti Mercer Merrick Montrose Nakamura Nesbitt Norwood Okafor Oakley Orlov Osgood Pemberton
    Penrose Petrov Quimby Radcliffe Rainier Redfern Rosenthal Rutledge Sandoval Sedgwick Sinclair Sorensen
    Stanhope Strand Tanaka Thackeray Thorne Tremaine Underhill Vance Varga Vasquez Wakefield Warwick Westcott
    Whitlock Winslow Wolfe Yarrow Zeller
    """
)

_PLACE_STARTS = [
    "Ald",
    "Bram",
    "Cald",
    "Dun",
    "East",
    "Fern",
    "Glen",
    "Hart",
    "Kirk",
    "Lang",
    "Mar",
    "New",
    "Oak",
    "Pem",
    "Quill",
    "Rock",
    "Strat",
    "Thorn",
    "Upper",
    "Wex",
]
_PLACE_ENDS = [
    "bourne",
    "bury",
    "cester",
    "combe",
    "dale",
    "ford",
    "haven",
    "holm",
    "leigh",
    "minster",
    "moor",
    "mouth",
    "port",
    "ridge",
    "stead",
    "ton",
    "vale",
    "wick",
]
PLACES = tuple(
    f"{start}{end}" if start != "Upper" else f"Upper {end.title()}" for start in _PLACE_STARTS for end in _PLACE_ENDS
)

ORGANISATIONS = words(
    """
    Institute Society University Council Museum Observatory Academy Trust Foundation Association Laboratory Herald
    Gazette Commission Ministry Archive Hospital Orchestra Library Union
    """
)

MONTHS = words(
    """
    January February March April May June July August September October November December
    """
)

"""Topics of general pages: nouns, verbs and adjectives of each."""

from __future__ import annotations

_TOPICS = """
astronomy:
  star planet comet galaxy telescope orbit nebula eclipse meteor satellite crater lens spectrum asteroid moon quasar
  pulsar constellation
  |
  observe orbit eclipse illuminate detect emit map rotate radiate collapse
  |
  stellar lunar solar cosmic orbital luminous faint distant

geology:
  rock mineral crystal volcano fault glacier sediment basin fossil quartz lava cave erosion ridge canyon crust
  mantle tremor
  |
  erode deposit fracture bury melt compress uplift shatter cool expose
  |
  volcanic molten sedimentary glacial porous granite jagged brittle

music:
  melody harmony chord symphony violin choir conductor opera sonata drum organ composer singer tempo concerto ballad
  flute trumpet
  |
  compose rehearse perform conduct tune harmonise improvise record imitate accompany
  |
  melodic choral lyrical orchestral solemn dissonant tuneful rhythmic

cooking:
  soup stew oven sauce onion garlic dough pan recipe flour butter pepper carrot herb broth kettle spoon ingredient
  |
  stew simmer boil roast season knead peel grate soften sprinkle
  |
  savoury crisp tender spicy creamy salty roasted fragrant

gardening:
  seed soil root leaf rose hedge compost lawn orchard tulip shrub pruning greenhouse weed bulb blossom seedling
  mulch
  |
  water harvest cultivate graft fertilise sow trim nourish transplant shade
  |
  fertile leafy evergreen thorny perennial shady mossy ripe

medicine:
  patient vaccine symptom virus nurse surgeon clinic dose fever infection therapy diagnosis tissue artery lung nerve
  bandage epidemic
  |
  diagnose treat infect heal prescribe vaccinate examine inject relieve isolate
  |
  chronic viral acute clinical contagious sterile surgical feverish

law:
  court judge statute verdict appeal plaintiff clause tribunal testimony lawsuit jury attorney ruling amendment
  sentence petition damages bail
  |
  sue appeal testify overrule enforce prosecute amend ratify acquit convict
  |
  judicial lawful civil criminal binding statutory constitutional liable

economics:
  inflation tariff wage market bank currency investor surplus deficit mortgage interest export import subsidy
  monopoly trader pension bond
  |
  invest export borrow tax regulate devalue finance import inflate stabilise
  |
  fiscal monetary volatile profitable industrial bankrupt competitive inflationary

football:
  striker goalkeeper referee stadium penalty league coach midfield tackle trophy season fixture captain defender
  substitute corner whistle supporter
  |
  score tackle dribble defend head attack pass coach equalise celebrate
  |
  unbeaten defensive tactical athletic offside relegated clinical fearless

history:
  empire dynasty emperor siege treaty fortress monarch revolt cavalry archive parliament colony abbey manuscript
  knight throne chronicle regiment
  |
  conquer besiege crown reign invade annex surrender fortify colonise plunder
  |
  medieval imperial royal feudal ancient dynastic fortified rebellious

biology:
  cell enzyme protein bacterium membrane gene organism mutation embryo neuron predator habitat mammal larva
  chromosome fungus pollen tissue
  |
  evolve mutate inherit multiply digest secrete migrate hatch pollinate adapt
  |
  genetic cellular aquatic nocturnal parasitic dominant recessive microscopic

chemistry:
  acid molecule catalyst solvent polymer reaction electron alkali compound vapour crystal flask isotope residue
  solution metal oxide pigment
  |
  dissolve react oxidise distil evaporate heat neutralise filter ferment bond
  |
  acidic volatile metallic organic soluble inert toxic corrosive

computing:
  server compiler database algorithm processor cache thread variable protocol packet kernel interface query buffer
  pointer module scheduler backup
  |
  compile encrypt debug deploy execute parse allocate configure index crash
  |
  recursive parallel binary virtual encrypted asynchronous redundant modular

travel:
  harbour ferry passport luggage hostel trail village beach cathedral map platform ticket airport tourist cabin
  guidebook mountain island
  |
  visit explore board wander hike sail photograph climb depart arrive
  |
  scenic coastal remote sunny crowded picturesque winding hospitable

education:
  pupil classroom teacher curriculum exam scholarship essay homework lecture graduate semester tutor textbook
  seminar degree campus syllabus grade
  |
  teach enrol graduate educate assess memorise tutor revise instruct examine
  |
  academic vocational literate attentive gifted primary secondary scholarly

weather:
  storm cloud thunder drought hurricane forecast rainfall breeze blizzard humidity frost barometer lightning flood
  monsoon gust rainbow drizzle
  |
  rain thunder flood freeze predict drench intensify darken forecast subside
  |
  stormy humid windy cloudy freezing tropical torrential overcast

architecture:
  arch column dome facade cathedral brick balcony staircase vault blueprint corridor tower architect ceiling pillar
  courtyard beam masonry
  |
  build design renovate restore demolish ornament support enclose decorate span
  |
  gothic baroque vaulted symmetrical ornate towering derelict spacious

painting:
  canvas portrait fresco brush pigment gallery sculptor landscape palette exhibition sketch studio easel collector
  mural engraving masterpiece curator
  |
  paint sketch exhibit restore depict frame sculpt varnish portray engrave
  |
  abstract vivid figurative decorative expressive muted allegorical realistic

railways:
  locomotive carriage junction timetable signal platform tunnel viaduct gauge engineer freight sleeper depot
  conductor whistle boiler track terminus
  |
  haul shunt derail electrify couple dispatch upgrade transport delay operate
  |
  electric regional narrow elevated punctual disused steep suburban

philosophy:
  ethics reason virtue dialogue paradox premise metaphysics sceptic doctrine duty essence sceptic logic conscience
  intuition treatise axiom causality
  |
  argue refute deduce contemplate assert criticise postulate doubt infer reconcile
  |
  rational moral sceptical empirical metaphysical absolute fallacious stoic
"""


def _read() -> dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]:
    topics = {}
    for entry in _TOPICS.strip().split("\n\n"):
        name, rest = entry.split(":")
        nouns, verbs, adjectives = (tuple(part.split()) for part in rest.split("|"))
        topics[name] = (nouns, verbs, adjectives)
    return topics


TOPICS = _read()
"""Topic -> (nouns, verbs, adjectives)."""

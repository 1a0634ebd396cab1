"""Word lists for templates.py, written for karat: people, scenes, countries, offices, companies, forum topics.

Names of countries, cities and well-known people are facts; no list is copied from a data set.
"""

COUNTRIES = """Afghanistan|Afghan|Kabul;Albania|Albanian|Tirana;Algeria|Algerian|Algiers;Argentina|Argentine|Buenos Aires;
Australia|Australian|Sydney;Austria|Austrian|Vienna;Bahrain|Bahraini|Manama;Bangladesh|Bangladeshi|Dhaka;
Belgium|Belgian|Brussels;Brazil|Brazilian|Sao Paulo;Britain|British|London;Bulgaria|Bulgarian|Sofia;
Burma|Burmese|Rangoon;Canada|Canadian|Toronto;Chad|Chadian|N'Djamena;Chile|Chilean|Santiago;China|Chinese|Beijing;
Colombia|Colombian|Bogota;Congo|Congolese|Goma;Croatia|Croatian|Zagreb;Cuba|Cuban|Havana;Cyprus|Cypriot|Nicosia;
Denmark|Danish|Copenhagen;Egypt|Egyptian|Cairo;Ethiopia|Ethiopian|Addis Ababa;Finland|Finnish|Helsinki;
France|French|Paris;Germany|German|Berlin;Greece|Greek|Athens;Haiti|Haitian|Port-au-Prince;Hungary|Hungarian|Budapest;
Iceland|Icelandic|Reykjavik;India|Indian|Delhi;Indonesia|Indonesian|Jakarta;Iran|Iranian|Tehran;Iraq|Iraqi|Baghdad;
Ireland|Irish|Dublin;Israel|Israeli|Jerusalem;Italy|Italian|Rome;Ivory Coast|Ivorian|Abidjan;Japan|Japanese|Tokyo;
Jordan|Jordanian|Amman;Kenya|Kenyan|Nairobi;Kosovo|Kosovan|Pristina;Kuwait|Kuwaiti|Kuwait City;
Lebanon|Lebanese|Beirut;Liberia|Liberian|Monrovia;Libya|Libyan|Tripoli;Malaysia|Malaysian|Kuala Lumpur;
Mali|Malian|Bamako;Mexico|Mexican|Mexico City;Mongolia|Mongolian|Ulan Bator;Morocco|Moroccan|Rabat;
Myanmar|Burmese|Yangon;Nepal|Nepalese|Kathmandu;New Zealand|New Zealand|Auckland;Nigeria|Nigerian|Lagos;
North Korea|North Korean|Pyongyang;Norway|Norwegian|Oslo;Pakistan|Pakistani|Karachi;Panama|Panamanian|Panama City;
Peru|Peruvian|Lima;Philippines|Philippine|Manila;Poland|Polish|Warsaw;Portugal|Portuguese|Lisbon;Qatar|Qatari|Doha;
Romania|Romanian|Bucharest;Russia|Russian|Moscow;Rwanda|Rwandan|Kigali;Saudi Arabia|Saudi|Riyadh;
Serbia|Serbian|Belgrade;Singapore|Singaporean|Singapore;Somalia|Somali|Mogadishu;South Africa|South African|Johannesburg;
South Korea|South Korean|Seoul;Spain|Spanish|Madrid;Sri Lanka|Sri Lankan|Colombo;Sudan|Sudanese|Khartoum;
Sweden|Swedish|Stockholm;Switzerland|Swiss|Geneva;Syria|Syrian|Damascus;Taiwan|Taiwanese|Taipei;
Thailand|Thai|Bangkok;Tunisia|Tunisian|Tunis;Turkey|Turkish|Istanbul;Uganda|Ugandan|Kampala;Ukraine|Ukrainian|Kiev;
US|American|Washington;United States|American|New York;Uruguay|Uruguayan|Montevideo;Venezuela|Venezuelan|Caracas;
Vietnam|Vietnamese|Hanoi;Yemen|Yemeni|Sanaa;Zimbabwe|Zimbabwean|Harare;Palestine|Palestinian|Ramallah;
Gaza|Palestinian|Gaza City;UK|British|Manchester;Scotland|Scottish|Glasgow;England|English|Liverpool;
Crimea|Crimean|Sevastopol;Chechnya|Chechen|Grozny;Tibet|Tibetan|Lhasa;Kashmir|Kashmiri|Srinagar"""

CITIES = """Aleppo|Homs|Mosul|Fallujah|Basra|Kirkuk|Kandahar|Peshawar|Lahore|Quetta|Mumbai|Kolkata|Chennai|Benghazi|
Alexandria|Donetsk|Odessa|Kharkiv|Hebron|Haifa|Tel Aviv|Rio de Janeiro|Shanghai|Hong Kong|Guangzhou|Osaka|Fukushima|
Hiroshima|Melbourne|Perth|Brisbane|Christchurch|Wellington|Vancouver|Montreal|Ottawa|Boston|Chicago|Los Angeles|
San Francisco|San Diego|Seattle|Portland|Denver|Phoenix|Las Vegas|Houston|Dallas|Austin|Atlanta|Miami|Orlando|Detroit|
Cleveland|Philadelphia|Pittsburgh|Baltimore|Minneapolis|St. Louis|Kansas City|Memphis|Nashville|New Orleans|Ferguson|
Oklahoma City|Milwaukee|Buffalo|Sacramento|Milan|Naples|Venice|Barcelona|Munich|Hamburg|Frankfurt|Cologne|Zurich|
Lyon|Marseille|Nice|Birmingham|Leeds|Edinburgh|Belfast|Cardiff|Calais|Lampedusa|Lesbos|Cape Town|Durban|Kano|Timbuktu"""

STATES = """California|Texas|Florida|Ohio|Virginia|New York|Colorado|Arizona|Georgia|Illinois|Michigan|Pennsylvania|
New Jersey|Massachusetts|Connecticut|Maryland|Louisiana|Alabama|Mississippi|Tennessee|Kentucky|Indiana|Wisconsin|
Minnesota|Iowa|Missouri|Kansas|Nebraska|Oklahoma|Arkansas|Utah|Nevada|Oregon|Washington state|Montana|Idaho|Alaska|
Hawaii|Maine|Vermont|South Carolina|North Carolina|Queensland|Victoria|New South Wales|Ontario|Quebec|Punjab"""

NAMES = """Obama|Bush|Clinton|Putin|Merkel|Cameron|Blair|Hollande|Sarkozy|Netanyahu|Abbas|Assad|Mubarak|Morsi|Sisi|Gaddafi|
Rouhani|Ahmadinejad|Khamenei|Karzai|Musharraf|Sharif|Bhutto|Modi|Singh|Gandhi|Erdogan|Gul|Kim Jong-un|Abe|Koizumi|Xi|
Hu Jintao|Park|Roh|Medvedev|Yanukovych|Poroshenko|Tymoshenko|Lukashenko|Berlusconi|Renzi|Prodi|Zapatero|Rajoy|Tsipras|
Papandreou|Chavez|Maduro|Castro|Lula|Rousseff|Kirchner|Morales|Uribe|Santos|Mandela|Mbeki|Zuma|Mugabe|Kenyatta|Annan|
Ban Ki-moon|Kerry|Powell|Rumsfeld|Cheney|Rice|Gates|Petraeus|McCain|Romney|Palin|Biden|Gore|Edwards|Dean|Schwarzenegger|
Bloomberg|Giuliani|Snowden|Assange|Manning|Murdoch|Pope Francis|Pope Benedict|Prince William|Prince Harry|Kate|Thatcher|
Brown|Miliband|Clegg|Gillard|Rudd|Abbott|Howard|Harper|Chretien|Saddam Hussein|Osama bin Laden|Arafat|Sharon|Peres|
Pistorius|Armstrong|Woods|Federer|Nadal|Djokovic|Murray|Williams|Beckham|Ronaldo|Messi|Suarez|Bolt|Phelps|Federline|
Bieber|Madonna|Beyonce|Rihanna|Jackson|Houston|Clooney|Pitt|Jolie|Cruise|Hanks|Spielberg|Smith|Jones|Johnson|Miller|
Davis|Wilson|Anderson|Taylor|Thomas|Moore|Martin|Lee|Thompson|White|Harris|Clark|Lewis|Robinson|Walker|Young|Allen|
King|Wright|Scott|Green|Baker|Adams|Nelson|Hill|Campbell|Mitchell|Roberts|Carter|Phillips|Evans|Turner|Parker|Collins|
Stewart|Morris|Rogers|Reed|Cook|Morgan|Bell|Murphy|Bailey|Cooper|Richardson|Cox|Ward|Peterson|Gray|James|Watson|Brooks|
Kelly|Sanders|Price|Bennett|Wood|Barnes|Ross|Henderson|Coleman|Jenkins|Perry|Long|Patterson|Hughes|Garcia|Rodriguez|
Martinez|Hernandez|Lopez|Gonzalez|Perez|Sanchez|Ramirez|Torres|Chen|Wang|Li|Zhang|Liu|Nguyen|Tran|Patel|Khan|Ali|Ahmed|
Hassan|Hussein|Mohamed|Ibrahim|Yusuf|Kowalski|Novak|Ivanov|Petrov|Schmidt|Muller|Weber|Fischer|Dubois|Rossi|Ferrari"""

FIRST = """John|Michael|David|James|Robert|William|Richard|Thomas|Charles|Daniel|Paul|Mark|Steven|George|Kevin|Brian|Peter|
Mary|Linda|Susan|Karen|Lisa|Nancy|Anna|Maria|Sarah|Laura|Julia|Emma|Alice|Jane|Helen|Rachel|Martha|Tom|Tim|Jim|Bob|Joe|
Sam|Max|Ben|Jack|Harry|Carlos|Juan|Pedro|Ahmed|Ali|Omar|Fatima|Wei|Yuki|Ivan|Olga|Hans|Pierre|Luca|Sofia|Janet|Josh"""

COMPANIES = """Microsoft|Apple|Google|Facebook|Twitter|Amazon|Intel|IBM|Oracle|SAP|Dell|Hewlett-Packard|Sun Microsystems|
Cisco|Nokia|Motorola|Samsung|Sony|Nintendo|Toshiba|Canon|Kodak|Xerox|Yahoo|eBay|PayPal|AOL|Time Warner|Disney|Comcast|
Verizon|AT&T|Sprint|Vodafone|General Motors|Ford|Chrysler|Toyota|Honda|Nissan|Volkswagen|BMW|Tesla|Boeing|Airbus|Lockheed|
General Electric|Siemens|Exxon Mobil|Chevron|BP|Shell|Gazprom|Yukos|Halliburton|Wal-Mart|Target|Sears|Costco|Home Depot|
McDonald's|Starbucks|Coca-Cola|Pepsi|Nestle|Kraft|Procter & Gamble|Johnson & Johnson|Pfizer|Merck|Novartis|Bayer|
AstraZeneca|Amgen|Goldman Sachs|Morgan Stanley|Citigroup|JP Morgan|Bank of America|Barclays|HSBC|UBS|Deutsche Bank|Visa|
MasterCard|Delta|United Airlines|American Airlines|Lufthansa|British Airways|Qantas|Ryanair|FedEx|Nike|Adidas|Gap|Symantec|
Adobe|Netflix|Uber|Novell|Red Hat|SCO|Gateway|AMD|Nvidia|Texas Instruments|Enron|WorldCom|Tyco|ImClone|Freddie Mac"""

PEOPLE = """man|woman|boy|girl|person|child|kid|baby|toddler|lady|guy|young man|young woman|old man|old woman|little boy|
little girl|young boy|young girl|teenager|chef|cook|dancer|singer|musician|guitarist|drummer|pianist|soldier|policeman|
firefighter|worker|farmer|doctor|nurse|teacher|student|cyclist|biker|skateboarder|surfer|skier|snowboarder|swimmer|runner|
boxer|wrestler|golfer|football player|basketball player|soccer player|baseball player|tennis player|hockey player|clown|
cowboy|fisherman|painter|artist|photographer|waiter|bride|groom|mother|father|monk|magician|gymnast|climber|hiker|driver|
rider|sailor|tourist|blond woman|bald man|bearded man|elderly man|elderly couple|shirtless man|man in a suit|
woman in a red dress|man in a blue shirt|boy in a green jacket|girl in a pink hat|man with a beard|woman with long hair"""

GROUPS = """people|men|women|boys|girls|children|kids|teenagers|soldiers|workers|students|dancers|musicians|players|friends|
tourists|police officers|firefighters|cyclists|runners|babies|monks|fans|protesters|farmers|cheerleaders|teams"""

ANIMALS = """dog|cat|kitten|puppy|horse|cow|bull|calf|sheep|lamb|goat|pig|chicken|duck|goose|swan|bird|parrot|owl|eagle|hawk|
penguin|seagull|monkey|gorilla|chimpanzee|panda|bear|polar bear|lion|tiger|leopard|cheetah|elephant|giraffe|zebra|rhino|
hippo|camel|kangaroo|koala|deer|fox|wolf|rabbit|hamster|squirrel|mouse|rat|hedgehog|lemur|otter|beaver|raccoon|skunk|bat|
frog|toad|turtle|lizard|snake|crocodile|alligator|fish|shark|whale|dolphin|seal|octopus|jellyfish|crab|spider|ant|bee|
butterfly|caterpillar|snail|black dog|white dog|brown dog|small dog|large dog|golden retriever|poodle|orange cat|gray cat"""

COLORS = "red|blue|green|yellow|black|white|brown|orange|pink|purple|gray|tan|golden|silver|dark|bright|striped|colorful"

PLACES = """in the kitchen|in the park|on the beach|in the street|on a sidewalk|in a field|in the snow|in the water|in a pool|
in the ocean|on a lake|in a river|in the woods|in the forest|on a mountain|on a hill|on the grass|in the yard|in a garden|
on a farm|in a barn|on a bench|on a couch|on a sofa|on a bed|on a chair|at a table|at a desk|on the floor|on a rug|on the stairs|
on a roof|on a balcony|on a porch|near a window|by a fence|next to a tree|under a tree|behind a wall|in front of a building|
in front of a crowd|on a stage|in a studio|in a restaurant|in a bar|in a shop|at the market|in a classroom|in an office|
in a gym|in a ring|on a track|on a court|on a road|on a bridge|on a dirt path|at a train station|at the airport|on a train|
on a bus|in a car|on a boat|in a tent|in the desert|in a cage|at the zoo|in the sand|in the mud|in the rain|at night|
in the dark|during the day|outside|outdoors|indoors|in the city|in a church|in a hospital|in a bathroom|in a bathtub|in a bowl"""

# verb -ing, verb s, objects
CAPTIONS = """slicing,slices:an onion/a tomato/a potato/a cucumber/a carrot/bread/cheese/meat/garlic/a lemon/an apple/tofu/ham/
a pepper/some fish/a mushroom/ginger/broccoli/a mango/an avocado/a zucchini;cutting,cuts:an onion/a tomato/a potato/paper/
a cake/a rope/wood/hair/the grass/a pineapple/vegetables/fabric/meat/a melon;chopping,chops:an onion/herbs/garlic/wood/
vegetables/parsley/celery/nuts;peeling,peels:a potato/an orange/a carrot/an apple/a banana/shrimp/an egg/garlic;
dicing,dices:an onion/a tomato/a pepper;mixing,mixes:ingredients/batter/dough/eggs/flour/a salad/paint/sugar and butter;
stirring,stirs:soup/a sauce/a pot/rice/coffee/the batter;pouring,pours:water into a glass/milk into a bowl/oil into a pan/
sauce over meat/batter into a bowl/wine/coffee into a cup/sugar into a pot;cooking,cooks:rice/noodles/eggs/meat/a meal/pasta/
dinner/breakfast/pancakes;frying,fries:an egg/fish/bacon/chicken/onions;boiling,boils:noodles/shrimp/eggs/water;
grating,grates:cheese/a carrot/ginger;cracking,cracks:an egg/eggs into a bowl/a nut;breaking,breaks:eggs/a stick/a window/
a plate/a brick;seasoning,seasons:meat/a steak/chicken;spreading,spreads:butter on bread/cream on a cake/sauce on dough;
adding,adds:salt to water/spices to a pot/vegetables to soup/oil to a pan;kneading,kneads:dough;rolling,rolls:dough/a ball/
a cigarette/down a hill;eating,eats:an apple/a banana/pizza/ice cream/a sandwich/food/grass/a carrot/bamboo/corn/meat/pasta/
cereal/a cookie/noodles;drinking,drinks:water/milk/beer/coffee/wine/from a bottle/juice;feeding,feeds:a baby/a dog/ducks/
a horse/birds/a mouse to a snake/an animal;playing,plays:a guitar/the guitar/the piano/a violin/a flute/the drums/a keyboard/
a trumpet/a harp/a cello/a harmonica/chess/cards/football/soccer/basketball/tennis/baseball/hockey/golf/volleyball/
video games/with a toy/with a ball/in the water/with a cat/with a dog/in the sand/an instrument/an accordion/the saxophone;
riding,rides:a bike/a bicycle/a horse/a motorcycle/a skateboard/a scooter/an elephant/a wave/a dirt bike/a bus/a camel/a donkey/
a unicycle/a bull/a roller coaster;driving,drives:a car/a truck/a bus/a tractor/a race car/down the road;
running,runs:through the grass/across a field/on a treadmill/down the street/on the beach/in a race/after a ball;
walking,walks:down the street/a dog/on a rope/through the woods/on the beach/along a path/up the stairs/across the street;
jumping,jumps:over a fence/into a pool/off a cliff/in the air/on a trampoline/rope/over a hurdle/off a wall/through a hoop;
climbing,climbs:a rock/a tree/a wall/a ladder/a rope/a mountain/the stairs;swimming,swims:in a pool/in the ocean/underwater/
in a lake;diving,dives:into a pool/into the sea/underwater;catching,catches:a ball/a frisbee/a fish/a wave;
throwing,throws:a ball/a frisbee/a stick/a stone/a knife/a punch;kicking,kicks:a ball/a soccer ball/a bag/a man;
hitting,hits:a ball/a drum/a bag/another man;chasing,chases:a ball/a cat/another dog/a rabbit/birds;
holding,holds:a baby/a dog/a gun/an umbrella/a sign/a camera/a cup/flowers/a fish/a snake/hands;
carrying,carries:a bag/a box/a child/a stick/a surfboard/a basket/water/a backpack;wearing,wears:a hat/a mask/a helmet/
a costume/sunglasses/a red shirt/a wig/a suit;putting on,puts on:makeup/a shirt/gloves/shoes/lipstick/a coat;
brushing,brushes:her hair/his teeth/a dog/a horse;combing,combs:her hair;washing,washes:a car/dishes/clothes/his hands/
a baby/a dog;cleaning,cleans:a window/the floor/a table/a room/fish/an animal;folding,folds:clothes/paper/a towel;
reading,reads:a book/a newspaper/a letter/a magazine;writing,writes:a letter/on a board/on paper/in a notebook;
drawing,draws:a picture/a face/a map;painting,paints:a wall/a picture/a fence/her nails;typing,types:on a keyboard/
on a computer/a letter;using,uses:a computer/a laptop/a phone/a hammer/a drill/a sewing machine/a tool;
talking,talks:on the phone/to a friend/to a crowd/on a cell phone/on stage;singing,sings:a song/on stage/into a microphone/
and dancing/and playing guitar;dancing,dances:on stage/in the rain/in a room/with a woman/to music/together;
performing,performs:a trick/on stage/magic/a dance/for a crowd;looking,looks:at the camera/out a window/at a map/at the sky/
at a painting/in a mirror;watching,watches:television/a game/a parade/the sunset/a movie/birds;taking,takes:a picture/a photo/
a bath/a nap/notes/a picture of a lake;sleeping,sleeps:on a couch/on a bed/in a chair/on the floor;lying,lies:on a bed/on grass/
on the beach/in the sun;sitting,sits:on a bench/on a couch/at a table/on a chair/in a car/on the ground/on a rock;
standing,stands:on a rock/in line/in front of a house/on one leg/near a car/under a tree;leaning,leans:against a wall/
on a railing;crawling,crawls:on the floor/under a fence;falling,falls:off a horse/down the stairs/into water;
sliding,slides:down a slide/on ice/into base;skating,skates:on ice/down a ramp;skiing,skis:down a slope/in the snow;
surfing,surfs:a big wave/in the ocean;racing,races:on a track/motorcycles/cars;fighting,fights:in a ring/with swords/each other;
wrestling,wrestles:in the mud/with a dog/a bear;shooting,shoots:a gun/a rifle/a bow/a basketball/an arrow/targets;
firing,fires:a gun/a machine gun/a rifle;loading,loads:a gun/a truck;lifting,lifts:weights/a box/a barbell/a child;
exercising,exercises:at home/in a gym;stretching,stretches:her legs/on the floor;doing,does:push-ups/yoga/a handstand/
exercises/a backflip/tricks;fishing,fishes:in a river/from a boat;rowing,rows:a boat;sailing,sails:a boat/on a lake;
paddling,paddles:a canoe/a kayak;pushing,pushes:a cart/a stroller/a car/a lawn mower;pulling,pulls:a rope/a sled/a wagon;
opening,opens:a door/a box/a bottle/a gift/a package/a can;closing,closes:a door/a window;building,builds:a house/a snowman/
a sandcastle/a fire;repairing,repairs:a bike/a car/a roof/a computer;digging,digs:a hole/in the sand;planting,plants:flowers/
a tree/seeds;watering,waters:plants/the garden;picking up,picks up:trash/a ball/leaves;petting,pets:a dog/a cat/a lion;
hugging,hugs:a child/a woman/a tree;kissing,kisses:a baby/a woman/a frog;licking,licks:a bowl/a plate/its paw/a baby;
barking,barks:at a cat/at a ball/at the door;chewing,chews:on a stick/on a bone/on a shoe;biting,bites:a rope/an apple;
flying,flies:a kite/a plane/in the sky/over the water/a helicopter;floating,floats:on water/in the air;
blowing,blows:bubbles/out candles/a horn;lighting,lights:a candle/a cigarette/a fire;smoking,smokes:a cigarette/a pipe/a cigar;
laughing,laughs:at a joke/together;crying,cries:on the floor/in bed;smiling,smiles:at the camera/at a baby;
waving,waves:a flag/at the crowd/goodbye;pointing,points:at a map/at a sign/a gun;shopping,shops:for shoes/at a market;
selling,sells:fruit/flowers/food on the street;waiting,waits:for a bus/for a train/in line/at a bus stop;
crossing,crosses:a street/a bridge/a finish line;tying,ties:a shoe/a knot/a rope;sewing,sews:a dress/a button;
ironing,irons:a shirt;shaving,shaves:his face/his head;applying,applies:makeup/eye shadow/lotion;removing,removes:a hat/
a bone from fish/seeds from a pepper;placing,places:meat in a pan/a pot on a stove/food on a plate;kneeling,kneels:on the floor/
in prayer;praying,prays:in a church/in a mosque/on a rug;marching,marches:in a parade/down the street;
splashing,splashes:in a puddle/in the water;shaking,shakes:hands/its head/off water;balancing,balances:on a ball/on a wire;
spinning,spins:on one leg/a plate/around;juggling,juggles:balls/fire/knives;parking,parks:a car/a bicycle;
boarding,boards:a train/a plane;milking,milks:a cow;shearing,shears:a sheep;grazing,grazes:in a field/near a fence;
hanging,hangs:from a tree/upside down/laundry;hiding,hides:behind a tree/under a bed;throwing away,throws away:trash"""

ROLES = """president|prime minister|foreign minister|defense minister|finance minister|opposition leader|king|queen|prince|pope|
governor|mayor|senator|lawmaker|judge|police chief|army chief|general|ambassador|spokesman|spokeswoman|official|ex-president|
former minister|bishop|cleric|rebel leader|activist|journalist|lawyer|prosecutor|party leader|envoy|chancellor|CEO|chairman|
coach|captain|singer|actor|actress|author|scientist|doctor|teacher|priest|rapper|athlete|banker|union leader"""

FORCES = """troops|soldiers|rebels|police|security forces|militants|gunmen|protesters|forces|army|insurgents|separatists|
peacekeepers|insurgent fighters|government forces|demonstrators|rioters|terrorists|warplanes|navy|border guards|kidnappers"""

EVENTS = """car bomb|suicide bomb|bomb blast|roadside bomb|explosion|gunfight|shooting|knife attack|air strike|drone strike|
rocket attack|plane crash|train crash|bus crash|helicopter crash|ferry sinking|boat accident|road accident|mine explosion|
mine collapse|building collapse|factory fire|nightclub fire|forest fire|wildfire|flood|landslide|mudslide|earthquake|typhoon|
hurricane|tornado|cyclone|storm|avalanche|heat wave|cold snap|stampede|riot|clash|prison riot|hostage crisis|gas leak|
gas explosion|outbreak|epidemic|food poisoning|volcanic eruption|tsunami|blizzard|raid|ambush|mortar attack|grenade attack"""

VICTIMS = """people|civilians|soldiers|policemen|children|students|miners|tourists|passengers|workers|protesters|migrants|
refugees|militants|rebels|schoolgirls|pilgrims|villagers|women|journalists|firefighters|worshippers|insurgents|prisoners"""

SUBJECTS = """economy|election|vote|ceasefire|peace talks|nuclear talks|nuclear deal|trade deal|sanctions|budget|tax cut|
health care law|immigration bill|gun control|same-sex marriage|abortion law|spying scandal|corruption case|fraud trial|
murder trial|match-fixing case|doping scandal|hacking case|strike|protest|referendum|bailout|debt crisis|interest rates|
unemployment|inflation|oil prices|gas supply|border dispute|missile test|nuclear test|rocket launch|space mission|
climate change|carbon tax|drought|food aid|vaccine|bird flu|swine flu|Ebola|polio|malaria|AIDS|cancer drug|royal baby|
royal wedding|World Cup|Olympics|Super Bowl|Nobel prize|Oscar|new law|constitution|coup|state of emergency|curfew|
chemical weapons|human rights|press freedom|internet censorship|prisoner swap|hostage release|extradition|merger|layoffs|
data breach|recall|lawsuit|asylum seekers|refugee crisis|airport security|airspace|embassy|parliament|cabinet|coalition"""

TOPICS = """a camera lens|a digital camera|a bike chain|a car engine|brake pads|a kitchen knife|a cast iron pan|bread dough|
chicken broth|brown rice|tofu|olive oil|a coffee maker|a washing machine|a dishwasher|a wooden floor|wall paint|a leaking tap|
a garden hose|tomato plants|a lawn|compost|a cat that scratches|a barking dog|a new puppy|an aquarium|a tent|hiking boots|
a backpack|a visa|a passport|a long flight|a train ticket|a hotel booking|a credit card|a mortgage|a savings account|taxes|
a 401k|life insurance|a pay rise|a job interview|a resume|a job offer|a cover letter|my boss|a coworker|a thesis|an advisor|
a research paper|a citation|a conference talk|an exam|homework|a math problem|a proof|statistics|a linear model|a database|
a SQL query|a Python script|a web page|an email client|a password|a wireless router|a hard drive|a laptop battery|a phone screen|
a backup|an operating system|a printer|a spreadsheet|a PDF file|a video game|a chess opening|a guitar string|piano practice|
a singing lesson|a short story|a novel|a poem|dialogue|grammar|a comma|a verb tense|a foreign language|Japanese|French|Latin|
a toddler's tantrum|bedtime|breast feeding|a teenager|a divorce|a wedding|a birthday gift|a friend|a neighbor|a landlord|
a roommate|a lease|a diet|weight loss|running shoes|a marathon|muscle pain|a back injury|a cold|sleep|stress|meditation|
a telescope|a black hole|gravity|an electric circuit|a capacitor|a motor|a battery|a magnet|a chemical reaction|evolution|
a virus|a gene|the brain|religion|the Bible|prayer|Buddhism|philosophy|free will|politics|an election|a law|a contract|
copyright|history|a war|an empire|a movie|an actor|a TV show|a plot hole|a song|jazz|a painting|knitting|a sewing pattern|
woodworking|a drill|glue|a beer recipe|wine|cheese|chocolate|vegetarian food|gluten|sugar|salt|a freezer|leftovers"""

ADVICE = """should I clean {t}|can I fix {t}|do I choose {t}|can I learn about {t}|should I deal with {t}|do I get rid of {t}|
do I replace {t}|can I improve {t}|do I explain {t}|can I save money on {t}|do I store {t}|can I tell if {t} is good|
long does {t} last|much does {t} cost|do you handle {t}|can one understand {t}|often should I check {t}"""

ANSWERS = """It depends on what you want to do with {t}.|It depends on {t} and on your budget.|You should not worry about {t}.|
I would not do that with {t}.|I had the same problem with {t}.|You can do it, but it is not a good idea.|
There is no reason why you can't use {t}.|You need to ask somebody who knows about {t}.|The short answer is yes.|
The short answer is no.|It's not a matter of {t}; it's a matter of time.|I don't think there is a simple answer about {t}.|
As far as I know, {t} is not required.|In my experience, {t} is worth the money.|You could try {t} first.|
The best way to learn about {t} is to practice.|There are two problems with {t}.|If you are new to {t}, start small.|
You might want to read a book about {t}.|I think you should talk to a professional about {t}.|
I recently bought something for {t} and I love it.|The most important thing about {t} is to be patient.|
That is not true of {t} in general.|You are right about {t}.|I disagree with you about {t}.|{t} will be fine.|
What kind of {t} do you have?|Where did you read that about {t}?|Why do you ask about {t}?|Is there anything new about {t}?|
Yes, you can use {t} for this.|No, {t} does not work like that.|Just leave {t} alone for a while.|Be careful with {t}."""


def items(text):
    """The entries of one of the lists above."""
    return [entry.strip() for entry in text.replace("\n", "").split("|")]


def countries():
    """(country, adjective, city) of every country."""
    return [tuple(entry.strip().split("|")) for entry in COUNTRIES.replace("\n", "").split(";")]


def actions():
    """(gerund, third person, objects) of every action of the captions."""
    found = []
    for entry in CAPTIONS.replace("\n", "").split(";"):
        verbs, objects = entry.split(":")
        found.append((*verbs.strip().split(","), [o.strip() for o in objects.split("/")]))
    return found

// What a model reads before its weights are rounded, where nobody gives other texts: some 1,500 tokens of many kinds. Single
// words and short phrases are many, since rounding errors cancel out least in them.

export const CALIBRATION_TEXTS = [
  ...`thanks | hello | why? | yes | no. | what | ok! | the | and | so | here | right. | this | always | error | help! | python
  | banana | justice | 2024 | 7 | ? | ... | a | I | London | running | beautiful | mitochondria | refund | Wait | link. | yet
  | close | photosynthesis | XML | iPhone | Thursday | Tokyo | sadness | slowly | blue | C++ | $5 | COVID-19 | invoice | wheeze
  | Beethoven | nothing | maybe | good | she | install | price | diabetes | quantum | dog | Please | FAQ | really?`.split(
    "|",
  ),
  ...`thank you | good morning | New York | reset password | not found | hello world | how much | machine learning | heart attack
  | red wine | sign up | what is | who am I? | I see. | of course | customer support | climate change | log in | stock market
  | no idea | happy birthday! | blood pressure | the end | come on | unit tests | open source | See also | Is there | I got
  | United Nations | black hole | error 404 | next week | get lost`.split("|"),
  "How do I reset my password?",
  "What is the capital of Australia?",
  "Where can I download the latest version?",
  "Why does my program crash when the list is empty?",
  "Can I return a product after thirty days?",
  "Who wrote the Ninth Symphony, and when was it first performed?",
  "Which vitamins are good for the skin?",
  "How long should pasta be cooked?",
  "Is it safe to take ibuprofen with alcohol?",
  "What's the difference between TCP and UDP?",
  "when was the first world war",
  "best cheap hotels near the central station",
  "my card was charged twice",
  "how to convert a string to an integer in java",
  "side effects of aspirin in older patients",
  "I don't think that this answers my question.",
  "The dogs are sleeping in the garden.",
  "A man in a red shirt plays the guitar on a stage.",
  "Two children build a castle of sand at the beach.",
  "She didn't like the film at all, but the music was wonderful.",
  "Interest rates rose again in March, the central bank said on Tuesday.",
  "The patient was given 50 mg of the drug twice a day for six weeks.",
  "We prove that every bounded sequence of real numbers has a convergent subsequence.",
  "Returns the number of elements in the list, or -1 if the index is out of range.",
  'git commit -m "fix typo" && git push origin main',
  "SELECT name, COUNT(*) FROM orders WHERE price > 10 GROUP BY name;",
  "https://example.com/docs/getting-started?lang=en#install",
  "Preheat the oven to 180 °C, mix flour, sugar and butter, and bake for 25 minutes.",
  "Our team lost 3-1, although it had the better chances in the second half.",
  "All rights reserved. No part of this publication may be copied without written permission.",
  "Der Zug nach Berlin fährt um acht Uhr ab.",
  "El perro duerme en la casa de mi abuela.",
  "今天天气很好。",
  "The algorithm needs O(n log n) comparisons in the worst case and constant extra memory.",
  "Dear Sir or Madam, I would like to cancel my subscription from the end of this month.",
  "Wow!!! Best day ever :) #sunshine @home",
  `The heart is a muscle that pumps blood through the body. In mammals it has four chambers: two atria, which receive blood, and
  two ventricles, which push it out. Valves between them keep blood from flowing back. An adult's heart beats 60 to 80 times a
  minute at rest, and much faster during exercise.`,
  `To install the package, open a terminal and run the command below. It downloads all dependencies, compiles the native
  extension and copies the binary to your home directory. If the build fails, check that a C compiler and the development
  headers are there, remove the cache and try again. On Windows, use the installer instead.`,
  `Background: Obesity is a risk factor for type 2 diabetes. Methods: We followed 1,204 adults for five years and measured weight,
  fasting glucose and insulin resistance. Results: Weight loss of more than 5% lowered the risk by half (hazard ratio 0.48, 95%
  CI 0.31-0.74). Conclusion: Moderate weight loss prevents diabetes in many patients.`,
  `The town lies on the river's left bank, ten kilometres north of the border. It was founded in 1243 by merchants, burned down
  twice in the Thirty Years' War, and grew quickly after the railway had reached it in 1856. Today some 40,000 people live there,
  most of whom work in the chemical industry, in tourism or at the university.`,
  `An experimental study of a wing in a propeller slipstream was made in order to determine the spanwise distribution of the lift
  increase due to slipstream at different angles of attack. The results were compared with theory, and a large part of the
  difference could be explained by the boundary layer and by the destalling effect of the rotating flow.`,
  `In this paper we present a new method for learning representations of sentences. A transformer is trained on pairs of texts, so
  that sentences of similar meaning get similar vectors. On seven benchmarks it improves on earlier work by two points on average
  and needs only a tenth of the training data. Code and models are available.`,
  `Every morning the old man walked down to the harbour, sat on the same bench, and looked at the ships. He never spoke to anybody.
  The children said that he had once been a captain, and that he waited for a ship which had been lost at sea forty years before.
  One winter day the bench was empty.`,
].map((text) => text.replace(/\s+/g, " ").trim());

// @ts-check
// What the page starts with.

export const compareExamples = [
  {
    name: "Cats and stocks",
    texts: [
      "The cat sat on the mat.",
      "A feline rested on the rug.",
      "Stock prices rose sharply today.",
      "The dog played in the park.",
    ],
  },
  {
    name: "Support questions",
    texts: [
      "How do I reset my password?",
      "I forgot my login and cannot get into my account.",
      "Where is my parcel?",
      "The delivery has not arrived yet.",
      "Can I have my money back?",
      "I would like a refund for my order.",
    ],
  },
  {
    name: "Topics",
    texts: [
      "The heart pumps blood through the arteries.",
      "High blood pressure strains the heart.",
      "Rust checks memory safety when it compiles.",
      "A compiler turns source code into machine code.",
      "The orchestra played a symphony by Beethoven.",
      "She practises the piano every evening.",
      "Inflation lowers what money can buy.",
      "The central bank raised interest rates.",
    ],
  },
];

export const searchExamples = [
  {
    name: "Help pages",
    query: "how do I get my money back",
    documents: [
      "Refunds are paid to the card you used, within five working days of us receiving the return.",
      "To reset your password, choose “Forgot password” on the sign-in page and follow the link in the mail.",
      "Parcels inside the country arrive in two to four days; you get a tracking number by mail.",
      "Gift cards are valid for three years and can be used for several purchases.",
      "You can change the delivery address until the parcel has left our warehouse.",
      "We accept credit cards, bank transfers and payment on invoice.",
      "Batteries and damaged goods must not be sent back by post; bring them to a shop.",
      "Your invoice is in your account, under Orders.",
      "Turn on two-factor authentication to protect your account against theft.",
      "Our shops are open from nine to seven, Monday to Saturday.",
    ],
  },
  {
    name: "Science",
    query: "why is the planet getting hotter",
    documents: [
      "Photosynthesis turns sunlight, water and carbon dioxide into sugar and oxygen in the leaves of plants.",
      "Plate tectonics explains earthquakes, volcanoes and the drift of the continents.",
      "A vaccine trains the immune system to recognise a virus before it causes disease.",
      "Black holes are regions of space whose gravity lets nothing escape, not even light.",
      "DNA carries the genetic instructions of living organisms in two long strands.",
      "The moon's gravity causes the tides of the ocean.",
      "Antibiotics kill bacteria, but have no effect on viruses.",
      "Lithium batteries store energy by moving ions between two electrodes.",
      "Enzymes are proteins that speed up chemical reactions in the cell.",
      "Greenhouse gases trap heat in the atmosphere and warm the climate.",
    ],
  },
];

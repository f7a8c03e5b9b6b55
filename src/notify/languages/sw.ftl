# Ujumbe kwa Kiswahili.

amount = { $currency } { $figure }
thousands = ,
decimal = .
day = { $day } { $month ->
    [jan] Januari
    [feb] Februari
    [mar] Machi
    [apr] Aprili
    [may] Mei
    [jun] Juni
    [jul] Julai
    [aug] Agosti
    [sep] Septemba
    [oct] Oktoba
    [nov] Novemba
   *[dec] Desemba
} { $year }
moment = { $date }, saa { $time }

signup-code =
    .subject = Nambari yako ya { $site }
    .mail =
        Mtu fulani, labda wewe, ameomba "{ $plan }" kwa { $site } kwa kutumia barua pepe hii.

        Nambari yako:

        { $code }

        Iandike mahali ulipojisajili. Inatumika kwa dakika { $minutes }.

        Au fungua kiungo hiki kwenye kifaa chochote na ubonyeze kitufe. Kwenye kifaa kingine tofauti na ulichojisajili nacho, kitakuonyesha nenosiri jipya, ambalo litatumika badala ya ulilochagua:

        { $link }

        Kama si wewe, usifanye chochote: bila nambari au kiungo hakuna kinachoundwa.
    .sms = { $code } ni nambari yako ya { $site }. Inatumika kwa dakika { $minutes }. Usimpe mtu yeyote.

signup-known =
    .subject = Nambari yako ya { $site }
    .mail =
        Mtu fulani, labda wewe, amejisajili kwa { $site } kwa kutumia barua pepe hii. Tayari una akaunti hapo, kwa hiyo nyingine haiundwi.

        Ili kuingia kwa nambari hii, iandike mahali ulipojisajili:

        { $code }

        Inatumika kwa dakika { $minutes }. Usimpe mtu yeyote: inafungua akaunti yako.

        Kama si wewe, usifanye chochote.
    .sms = { $code } ni nambari yako ya { $site }. Inatumika kwa dakika { $minutes }. Usimpe mtu yeyote: inafungua akaunti yako.

channel-test =
    .subject = Jaribio kutoka { $site }
    .mail =
        Ujumbe huu unaonyesha kwamba barua pepe kutoka { $site } zinafika. Nambari ya kuthibitisha:

        { $code }

        Inatumika kwa dakika { $minutes }.
    .sms = { $code } inathibitisha kwamba SMS kutoka { $site } zinafika. Inatumika kwa dakika { $minutes }.

receipt =
    .subject = Tumepokea { $amount }
    .mail =
        Tumepokea { $amount } tarehe { $date }. Asante.

        Kumbukumbu: { $reference }

        Malipo na ankara zako: { $link }

        { $site }
    .sms = { $site }: tumepokea { $amount } tarehe { $date }. Kumbukumbu { $reference }. Asante.

refunded =
    .subject = Tunarudisha { $amount }
    .mail =
        Tunakurudishia { $amount } kwa njia uliyolipia. Inaweza kuchukua siku chache.

        Kumbukumbu: { $reference }

        Malipo na ankara zako: { $link }

        { $site }
    .sms = { $site }: tunakurudishia { $amount } ({ $date }). Kumbukumbu { $reference }. Inaweza kuchukua siku chache.

invoice-issued =
    .subject = Ankara { $number }
    .mail =
        Ankara yako { $number } ya { $amount } iko tayari. Tafadhali ilipe kabla ya { $date }.

        Itazame na uilipe hapa: { $link }

        { $site }
    .sms = { $site }: ankara { $number } ya { $amount }, ilipwe kabla ya { $date }: { $link }

reminder =
    .subject = { $amount } ya kulipa kabla ya { $date }
    .mail =
        Kumbusho: { $amount } ya ankara { $number } inapaswa kulipwa kabla ya { $date }.

        Lipa hapa: { $link }

        Kama umeshalipa, asante; hakuna la kufanya zaidi.

        { $site }
    .sms = { $site }: { $amount } ya ankara { $number } inapaswa kulipwa kabla ya { $date }: { $link }

due =
    .subject = { $amount } inadaiwa
    .mail =
        { $amount } ya ankara { $number } inadaiwa tangu { $date }. Tafadhali lipa ili huduma yako iendelee.

        Lipa hapa: { $link }

        { $site }
    .sms = { $site }: { $amount } ya ankara { $number } inadaiwa. Tafadhali lipa ili huduma yako iendelee: { $link }

throttled =
    .subject = Huduma yako imepunguzwa kasi
    .mail =
        { $amount } haijalipwa, kwa hiyo huduma yako imepunguzwa kasi. Itarudi kwenye kasi kamili mara tu utakapolipa.

        Lipa hapa: { $link }

        { $site }
    .sms = { $site }: { $amount } haijalipwa, kwa hiyo huduma yako imepunguzwa kasi. Lipa: { $link }

garden =
    .subject = Tafadhali lipa ili uendelee
    .mail =
        { $amount } haijalipwa, kwa hiyo ni ukurasa huu tu unaofikika hadi ulipe. Baada ya hapo utarudi mtandaoni mara moja.

        Lipa hapa: { $link }

        { $site }
    .sms = { $site }: { $amount } haijalipwa, kwa hiyo huduma yako imesimama. Lipa ili urudi mtandaoni: { $link }

suspended =
    .subject = Huduma yako imesimamishwa
    .mail =
        { $amount } haijalipwa, kwa hiyo huduma yako imesimamishwa. Utarudi mtandaoni mara tu utakapolipa.

        Lipa hapa: { $link }

        { $site }
    .sms = { $site }: { $amount } haijalipwa, kwa hiyo huduma yako imesimamishwa. Lipa ili urudi mara moja: { $link }

restored =
    .subject = Huduma yako imerudi
    .mail =
        Asante. Huduma yako "{ $plan }" imerudi.

        { $site }
    .sms = { $site }: asante. Huduma yako "{ $plan }" imerudi.

terminated =
    .subject = Huduma yako imekwisha
    .mail =
        Huduma yako "{ $plan }" imekwisha, kwa kuwa { $amount } haikulipwa. Ili kurudi, ingia na uchague kifurushi, au zungumza nasi.

        { $link }

        { $site }
    .sms = { $site }: huduma yako "{ $plan }" imekwisha, kwa kuwa { $amount } haikulipwa. Ili kurudi: { $link }

low-balance =
    .subject = Salio lako ni dogo
    .mail =
        "{ $plan }" itahuishwa tarehe { $date } kwa { $amount }, na salio lako ni { $balance }. Ongeza salio kabla ya hapo ili ubaki mtandaoni.

        Ongeza hapa: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" itahuishwa { $date } kwa { $amount }; salio lako ni { $balance }. Ongeza: { $link }

renewed =
    .subject = Imehuishwa hadi { $date }
    .mail =
        "{ $plan }" imehuishwa kwa { $amount } na inaendelea hadi { $date }.

        Akaunti yako: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" imehuishwa kwa { $amount } na inaendelea hadi { $date }.

renewal-failed =
    .subject = Kifurushi chako hakikuhuishwa
    .mail =
        "{ $plan }" haikuweza kuhuishwa: inagharimu { $amount }, na salio lako ni { $balance }. Inaisha { $date }.

        Lipa hapa: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" haikuhuishwa: inagharimu { $amount }, salio lako ni { $balance }. Inaisha { $date }: { $link }

voucher =
    .subject = Vocha yako ya { $site }
    .mail =
        Vocha yako ya "{ $plan }":

        { $code }

        Iandike kwenye { $link } kabla ya { $date }. Yeyote mwenye nambari hii anaweza kuitumia.

        { $site }
    .sms = { $site }: vocha ya "{ $plan }": { $code } . Itumie kabla ya { $date } kwenye { $link }

password-changed =
    .subject = Nenosiri lako limebadilishwa
    .mail =
        Nenosiri la akaunti yako ya { $site } limebadilishwa tarehe { $date }.

        Kama si wewe, zungumza nasi mara moja.
    .sms = { $site }: nenosiri la akaunti yako limebadilishwa. Kama si wewe, zungumza nasi mara moja.

trial-ending =
    .subject = Jaribio lako linaisha { $date }
    .mail =
        Jaribio lako la "{ $plan }" linaisha { $date }. Baada ya hapo linagharimu { $amount }.

        Endelea hapa: { $link }

        { $site }
    .sms = { $site }: jaribio lako la "{ $plan }" linaisha { $date }. Baada ya hapo ni { $amount }: { $link }

top-up =
    .subject = { $what } imeongezwa
    .mail =
        { $what } imeongezwa kwenye huduma yako kwa { $amount }. Inatumika hadi { $date }.

        Akaunti yako: { $link }

        { $site }
    .sms = { $site }: { $what } imeongezwa kwa { $amount }. Inatumika hadi { $date }.

quota-low =
    .subject = Umetumia { $percent }% ya kifurushi chako
    .mail =
        Umetumia { $percent }% ya "{ $plan }" kwa kipindi hiki.

        Ongeza data au muda: { $link }

        { $site }
    .sms = { $site }: umetumia { $percent }% ya "{ $plan }" kwa kipindi hiki. Ongeza: { $link }

quota-spent =
    .subject = Kifurushi chako kimeisha
    .mail =
        "{ $plan }" imeisha kwa kipindi hiki.

        Ongeza data au muda: { $link }

        { $site }
    .sms = { $site }: "{ $plan }" imeisha kwa kipindi hiki. Ongeza: { $link }

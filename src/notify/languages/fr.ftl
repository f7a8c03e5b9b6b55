# Ce que disent les messages, en français.

amount = { $figure } { $currency }
thousands = { " " }
decimal = ,
day = { $day } { $month ->
    [jan] janvier
    [feb] février
    [mar] mars
    [apr] avril
    [may] mai
    [jun] juin
    [jul] juillet
    [aug] août
    [sep] septembre
    [oct] octobre
    [nov] novembre
   *[dec] décembre
} { $year }
moment = { $date } à { $time }

signup-code =
    .subject = Votre code pour { $site }
    .mail =
        Quelqu'un, sans doute vous, a demandé « { $plan } » chez { $site } avec cette adresse e-mail.

        Votre code :

        { $code }

        Saisissez-le là où vous vous êtes inscrit. Il est valable { $minutes } minutes.

        Ou ouvrez ce lien sur n'importe quel appareil et appuyez sur le bouton. Sur un autre appareil que celui de votre inscription, il vous montre un nouveau mot de passe, qui remplace celui que vous avez choisi :

        { $link }

        Si ce n'était pas vous, ne faites rien : sans le code ou le lien, rien n'est créé.
    .sms = { $code } est votre code pour { $site }. Valable { $minutes } minutes. Ne le donnez à personne.

signup-known =
    .subject = Votre code pour { $site }
    .mail =
        Quelqu'un, sans doute vous, s'est inscrit chez { $site } avec cette adresse e-mail. Vous y avez déjà un compte, il n'en est donc pas créé un second.

        Pour vous connecter avec ce code, saisissez-le là où vous vous êtes inscrit :

        { $code }

        Il est valable { $minutes } minutes. Ne le donnez à personne : il ouvre votre compte.

        Si ce n'était pas vous, ne faites rien.
    .sms = { $code } est votre code pour { $site }. Valable { $minutes } minutes. Ne le donnez à personne : il ouvre votre compte.

channel-test =
    .subject = Un essai de { $site }
    .mail =
        Ce message montre que les e-mails de { $site } arrivent. Le code pour le confirmer :

        { $code }

        Il est valable { $minutes } minutes.
    .sms = { $code } confirme que les SMS de { $site } arrivent. Valable { $minutes } minutes.

receipt =
    .subject = Nous avons reçu { $amount }
    .mail =
        Nous avons reçu { $amount } le { $date }. Merci.

        Référence : { $reference }

        Vos paiements et factures : { $link }

        { $site }
    .sms = { $site } : nous avons reçu { $amount } le { $date }. Référence { $reference }. Merci.

refunded =
    .subject = Nous remboursons { $amount }
    .mail =
        Nous vous remboursons { $amount } par le moyen de votre paiement. Cela peut prendre quelques jours.

        Référence : { $reference }

        Vos paiements et factures : { $link }

        { $site }
    .sms = { $site } : nous vous remboursons { $amount } ({ $date }). Référence { $reference }. Cela peut prendre quelques jours.

invoice-issued =
    .subject = Facture { $number }
    .mail =
        Votre facture { $number } de { $amount } est prête. Merci de la payer avant le { $date }.

        La voir et la payer ici : { $link }

        { $site }
    .sms = { $site } : facture { $number } de { $amount }, à payer avant le { $date } : { $link }

reminder =
    .subject = { $amount } à payer avant le { $date }
    .mail =
        Un rappel : { $amount } de la facture { $number } sont à payer avant le { $date }.

        Payer ici : { $link }

        Si vous avez déjà payé, merci ; il n'y a rien d'autre à faire.

        { $site }
    .sms = { $site } : { $amount } de la facture { $number } à payer avant le { $date } : { $link }

due =
    .subject = { $amount } à payer
    .mail =
        { $amount } de la facture { $number } sont à payer depuis le { $date }. Merci de payer pour que votre service continue.

        Payer ici : { $link }

        { $site }
    .sms = { $site } : { $amount } de la facture { $number } sont dus. Merci de payer pour que votre service continue : { $link }

throttled =
    .subject = Votre service a été ralenti
    .mail =
        { $amount } ne sont pas payés, votre service a donc été ralenti. Il retrouve toute sa vitesse dès que vous avez payé.

        Payer ici : { $link }

        { $site }
    .sms = { $site } : { $amount } ne sont pas payés, votre service est donc ralenti. Payer : { $link }

garden =
    .subject = Merci de payer pour continuer
    .mail =
        { $amount } ne sont pas payés ; seule cette page est accessible jusqu'au paiement. Vous êtes de nouveau en ligne aussitôt après.

        Payer ici : { $link }

        { $site }
    .sms = { $site } : { $amount } ne sont pas payés, votre service est en attente. De retour dès le paiement : { $link }

suspended =
    .subject = Votre service est suspendu
    .mail =
        { $amount } ne sont pas payés, votre service est donc suspendu. Vous êtes de nouveau en ligne dès que vous avez payé.

        Payer ici : { $link }

        { $site }
    .sms = { $site } : { $amount } ne sont pas payés, votre service est suspendu. De retour dès le paiement : { $link }

restored =
    .subject = Votre service est rétabli
    .mail =
        Merci. Votre service « { $plan } » est rétabli.

        { $site }
    .sms = { $site } : merci. Votre service "{ $plan }" est rétabli.

terminated =
    .subject = Votre service a pris fin
    .mail =
        Votre service « { $plan } » a pris fin, car { $amount } n'ont pas été payés. Pour revenir, connectez-vous et choisissez une offre, ou parlez-nous.

        { $link }

        { $site }
    .sms = { $site } : votre service "{ $plan }" a pris fin, car { $amount } n'ont pas été payés. Pour revenir : { $link }

low-balance =
    .subject = Votre solde est faible
    .mail =
        « { $plan } » est renouvelé le { $date } pour { $amount }, et votre solde est de { $balance }. Rechargez avant cette date pour rester en ligne.

        Recharger ici : { $link }

        { $site }
    .sms = { $site } : "{ $plan }" se renouvelle le { $date } pour { $amount } ; votre solde est de { $balance }. Recharger : { $link }

renewed =
    .subject = Renouvelé jusqu'au { $date }
    .mail =
        « { $plan } » a été renouvelé pour { $amount } et court jusqu'au { $date }.

        Votre compte : { $link }

        { $site }
    .sms = { $site } : "{ $plan }" a été renouvelé pour { $amount } et court jusqu'au { $date }.

renewal-failed =
    .subject = Votre offre n'a pas été renouvelée
    .mail =
        « { $plan } » n'a pas pu être renouvelé : il coûte { $amount }, et votre solde est de { $balance }. Il prend fin le { $date }.

        Payer ici : { $link }

        { $site }
    .sms = { $site } : "{ $plan }" n'a pas été renouvelé : il coûte { $amount }, votre solde est de { $balance }. Fin le { $date } : { $link }

voucher =
    .subject = Votre coupon pour { $site }
    .mail =
        Votre coupon pour « { $plan } » :

        { $code }

        Saisissez-le sur { $link } avant le { $date }. Quiconque a le code peut l'utiliser.

        { $site }
    .sms = { $site } : coupon pour "{ $plan }" : { $code } . À utiliser avant le { $date } sur { $link }

password-changed =
    .subject = Votre mot de passe a été changé
    .mail =
        Le mot de passe de votre compte chez { $site } a été changé le { $date }.

        Si ce n'était pas vous, parlez-nous tout de suite.
    .sms = { $site } : le mot de passe de votre compte a été changé. Si ce n'était pas vous, parlez-nous tout de suite.

trial-ending =
    .subject = Votre essai prend fin le { $date }
    .mail =
        Votre essai de « { $plan } » prend fin le { $date }. Ensuite, il coûte { $amount }.

        Continuer ici : { $link }

        { $site }
    .sms = { $site } : votre essai de "{ $plan }" prend fin le { $date }. Ensuite, il coûte { $amount } : { $link }

top-up =
    .subject = { $what } ajouté
    .mail =
        { $what } a été ajouté à votre service pour { $amount }. Valable jusqu'au { $date }.

        Votre compte : { $link }

        { $site }
    .sms = { $site } : { $what } ajouté pour { $amount }. Valable jusqu'au { $date }.

quota-low =
    .subject = { $percent } % de votre forfait sont utilisés
    .mail =
        Vous avez utilisé { $percent } % de ce que « { $plan } » contient pour cette période.

        Plus de données ou de temps : { $link }

        { $site }
    .sms = { $site } : { $percent } % de "{ $plan }" sont utilisés pour cette période. Plus : { $link }

quota-spent =
    .subject = Votre forfait est épuisé
    .mail =
        Ce que « { $plan } » contient pour cette période est épuisé.

        Plus de données ou de temps : { $link }

        { $site }
    .sms = { $site } : "{ $plan }" est épuisé pour cette période. Plus : { $link }

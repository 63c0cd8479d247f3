using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>
/// One training step as a graph (docs/method.md, "A step"): forward; losses of both discriminators, their gradients and updates; the
/// generator's losses against the updated discriminators, gradients, updates. The reference's order, in one program.
/// </summary>
internal sealed class TrainingGraph
{
    /// <summary>Prefixes of Adam's moments in the tensor store.</summary>
    public const string FirstMomentPrefix = "optimizer.exp_avg.";

    /// <inheritdoc cref="FirstMomentPrefix"/>
    public const string SecondMomentPrefix = "optimizer.exp_avg_sq.";

    private readonly TrainingOptions options;
    private readonly ModelArchitecture architecture;
    private readonly Translator translator;
    private readonly PatchDiscriminator discriminator;
    private readonly ProfileDiscriminator profileDiscriminator;
    private readonly PatchProjection projection;
    private readonly TrainingGraphMode mode;
    private readonly Dictionary<string, Value> values = [];

    /// <summary>Builds the step.</summary>
    public TrainingGraph(TrainingOptions options, TrainingGraphMode mode = TrainingGraphMode.Update, bool externalPositions = false)
    {
        this.options = options;
        this.mode = mode;
        architecture = options.Architecture;
        translator = new Translator(architecture);
        (discriminator, profileDiscriminator, projection) = Networks(options);
        Fake = Graph.Input("fake", TensorType.Float(options.Batch, 3, options.Size, options.Size));
        Real = Graph.Input("real", TensorType.Float(options.Batch, 3, options.Size, options.Size));
        LearningRate = Graph.Input("learning_rate", TensorType.Float());
        Step = Graph.Input("step", TensorType.Float());
        Random = externalPositions ? null : Graph.Input("random", TensorType.Integers(4));
        Build();
    }

    public Graph Graph { get; } = new();

    /// <summary>Fake images A, [B, 3, S, S] in [0, 1].</summary>
    public Value Fake { get; }

    /// <summary>Real images B, [B, 3, S, S] in [0, 1].</summary>
    public Value Real { get; }

    public Value LearningRate { get; }

    /// <summary>Number of the step, from 1, for Adam's bias correction.</summary>
    public Value Step { get; }

    /// <summary>int32 [4]: seed low, seed high, step, 0; null when positions are given from outside.</summary>
    public Value? Random { get; }

    /// <summary>Losses, refined images and intermediate values, by the names of the reference implementation.</summary>
    public IReadOnlyDictionary<string, Value> Values => values;

    /// <summary>All losses, in the order of the log.</summary>
    public IEnumerable<string> LossNames => values.Keys.Where(name => name.StartsWith("loss_", StringComparison.Ordinal));

    /// <summary>Every tensor that a training run keeps between steps, except Adam's moments.</summary>
    public static IEnumerable<ParameterSpec> Parameters(TrainingOptions options)
    {
        (PatchDiscriminator d, ProfileDiscriminator s, PatchProjection m) = Networks(options);
        return options.Architecture.Generator.Parameters().Concat(d.Parameters()).Concat(m.Parameters()).Concat(s.Parameters());
    }

    /// <summary>The parameters that a step updates: Adam keeps two moments for each.</summary>
    public IEnumerable<string> TrainedParameters { get; private set; } = [];

    private static (PatchDiscriminator Discriminator, ProfileDiscriminator Profile, PatchProjection Projection) Networks(
        TrainingOptions options) =>
        (new PatchDiscriminator(options.Width),
         new ProfileDiscriminator(RingProfile.RingCount(options.Size, options.Size, RingKind.Rect)),
         new PatchProjection(options.Architecture.Generator, options.ProjectionDimensions));

    private bool Official => options.Preset == Preset.Official;

    private void Build()
    {
        Spectrum fake;
        Spectrum real;
        TranslatedSpectrum refined;
        TranslatedSpectrum identity;
        Value refinedImage;
        Value identityImage;
        using (Graph.Scope("forward"))
        {
            fake = translator.Analyze(Graph, Fake);
            real = translator.Analyze(Graph, Real);
            TranslatedSpectrum[] translated = translator.Translate(Graph, TracksRunning, fake, real);
            refined = translated[0];
            identity = translated[1];
            refinedImage = translator.Synthesize(Graph, refined.Magnitude, fake.Phasor);
            identityImage = translator.Synthesize(Graph, identity.Magnitude, real.Phasor);
        }

        values["real_A"] = fake.Normalized;
        values["real_B"] = real.Normalized;
        values["A_vmin"] = fake.Lo;
        values["A_vmax"] = fake.Hi;
        values["B_vmin"] = real.Lo;
        values["B_vmax"] = real.Hi;
        values["fake_B"] = refined.Normalized;
        values["idt_B"] = identity.Normalized;
        values["fake_B_inverse_normed"] = refined.Magnitude;
        values["idt_B_inverse_normed"] = identity.Magnitude;
        values["denoised_image_A"] = refinedImage;
        values["identity_image_B"] = identityImage;

        // What spectra look like to the discriminators: a real one without the filter, which only fakes need, a refined one as that of the image
        // as it will be stored. The reference implementation judges the translated spectrum, but the profile of the image.
        Value target = architecture.HasFilter ? translator.Normalize(Graph, Graph.LogSpectrum(Real).Magnitude).Normalized : real.Normalized;
        Value realProfile = Profile(target);
        Value refinedMagnitude = RefinedMagnitude(refinedImage);
        Value judged = Official ? refined.Normalized : refinedMagnitude;
        Value refinedProfile = Profile(refinedMagnitude);
        values["real_psd"] = realProfile;
        values["denoised_psd"] = refinedProfile;

        List<string> trained = [];
        using (Graph.Scope("discriminators"))
        {
            Value loss = DiscriminatorLoss(target, judged, realProfile, refinedProfile);
            trained.AddRange(Update("grad_D.", loss, discriminator.Parameters().Concat(profileDiscriminator.Parameters())));
        }

        using (Graph.Scope("generator"))
        {
            Value loss = GeneratorLoss(fake, real, refined, identity, refinedImage, identityImage, judged, refinedProfile);
            trained.AddRange(Update("grad_G.", loss, architecture.Generator.Parameters().Concat(projection.Parameters())));
        }

        TrainedParameters = trained;
        foreach (string name in LossNames)
        {
            Graph.Output(name, values[name]);
        }

        Graph.Output("refined", refinedImage);
    }

    private bool TracksRunning => options.Normalization == NormalizationMode.Batch && mode == TrainingGraphMode.Update;

    // The spectrum of the refined image itself, which is not the translated one when that is not the spectrum of a real
    // image. The reference implementation stretches the image first and scales the magnitude to [0, 1].
    private Value RefinedMagnitude(Value refinedImage)
    {
        if (!Official)
        {
            return translator.Normalize(Graph, Graph.LogSpectrum(Graph.EightBit(refinedImage)).Magnitude).Normalized;
        }

        Value stretched = Graph.RangeNormalize(refinedImage, perImage: false).Normalized;
        Value magnitude = Graph.RangeNormalize(Graph.LogSpectrum(stretched).Magnitude, perImage: true).Normalized;
        values["denoised_image_normed"] = stretched;
        values["denoised_mag"] = magnitude;
        return magnitude;
    }

    private Value Profile(Value spectrum) =>
        Graph.RangeNormalize(Graph.RingProfile(spectrum, RingKind.Rect, ChannelWeights.Luma), perImage: !Official).Normalized;

    private Value DiscriminatorLoss(Value real, Value refined, Value realProfile, Value refinedProfile)
    {
        Value fakeLoss = Graph.MeanSquaredError(discriminator.Apply(Graph, refined), 0f);
        Value realLoss = Graph.MeanSquaredError(discriminator.Apply(Graph, real), 1f);
        Value fakeProfileLoss = Graph.MeanSquaredError(profileDiscriminator.Apply(Graph, refinedProfile), 0f);
        Value realProfileLoss = Graph.MeanSquaredError(profileDiscriminator.Apply(Graph, realProfile), 1f);
        values["loss_D_fake"] = fakeLoss;
        values["loss_D_real"] = realLoss;
        values["loss_D"] = Graph.WeightedSum((0.5f, fakeLoss), (0.5f, realLoss));
        values["loss_SD_fake"] = fakeProfileLoss;
        values["loss_SD_real"] = realProfileLoss;
        values["loss_SD"] = Graph.WeightedSum((0.5f, fakeProfileLoss), (0.5f, realProfileLoss));
        return values["loss_D_total"] = Graph.Add(values["loss_D"], values["loss_SD"]);
    }

    private Value GeneratorLoss(
        Spectrum fake, Spectrum real, TranslatedSpectrum refined, TranslatedSpectrum identity, Value refinedImage, Value identityImage,
        Value judged, Value refinedProfile)
    {
        values["loss_G_GAN"] = Graph.MeanSquaredError(discriminator.Apply(Graph, judged), 1f);
        values["loss_SG_GAN"] = Graph.MeanSquaredError(profileDiscriminator.Apply(Graph, refinedProfile), 1f);
        values["loss_NCE"] = ContrastiveLoss("nce", refined.Normalized, fake.Normalized);
        values["loss_idt_NCE"] = ContrastiveLoss("idt", identity.Normalized, real.Normalized);
        values["loss_NCE_total"] = Graph.Add(values["loss_NCE"], values["loss_idt_NCE"]);
        values["loss_identity"] = Graph.Affine(Graph.StructuralSimilarity(Real, identityImage), -1f, 1f);
        values["loss_fake_identity"] = Graph.Affine(Graph.StructuralSimilarity(Fake, refinedImage), -1f, 1f);
        values["loss_LF"] = Graph.Add(
            Graph.LowFrequencyDistance(refined.Normalized, fake.Normalized, options.LowFrequencyRadius),
            Graph.LowFrequencyDistance(identity.Normalized, real.Normalized, options.LowFrequencyRadius));
        LossWeights weights = options.Losses;
        return values["loss_G"] = Graph.WeightedSum(
            ((float)weights.Adversarial, values["loss_G_GAN"]),
            ((float)weights.Profile, values["loss_SG_GAN"]),
            ((float)weights.Contrastive, values["loss_NCE_total"]),
            ((float)weights.Identity, values["loss_identity"]),
            ((float)weights.Similarity, values["loss_fake_identity"]),
            ((float)weights.LowFrequency, values["loss_LF"]));
    }

    // Mean over the encoder levels of PatchNCE between the features of both spectra at the same positions. The reference pairs five levels
    // with a list of one criterion: one level counts, divided by five, and its weight of 10 enters here and again in the sum of the losses.
    private Value ContrastiveLoss(string name, Value query, Value key)
    {
        using IDisposable scope = Graph.Scope(name);
        int encoded = TracksRunning ? NestedUNet.Levels : options.ContrastiveLevels;
        Value[] queries = architecture.Generator.Encode(Graph, query, encoded, options.Normalization, TracksRunning);
        Value[] keys = architecture.Generator.Encode(Graph, key, encoded, options.Normalization, TracksRunning);
        Value? sum = null;
        for (int level = 0; level < options.ContrastiveLevels; level++)
        {
            Value positions = Positions(name, level, queries[level].Shape.H * queries[level].Shape.W);
            Value loss = Graph.PatchNce(projection.Apply(Graph, queries[level], level, positions),
                projection.Apply(Graph, keys[level], level, positions), options.Batch, (float)options.Temperature);
            sum = sum is null ? loss : Graph.Add(sum, loss);
        }

        double weight = Official ? options.Losses.Contrastive / NestedUNet.Levels : 1.0 / options.ContrastiveLevels;
        return Graph.Affine(sum!, (float)weight);
    }

    private Value Positions(string name, int level, int extent)
    {
        int count = Math.Min(options.Patches, extent);
        return Random is null
            ? Graph.Input($"patch_ids.{name}{level}", TensorType.Integers(count))
            : Graph.SamplePositions(Random, (name == "nce" ? 0 : NestedUNet.Levels) + level, extent, count);
    }

    // Gradients of a loss and Adam for every parameter that has one: the reference's unused projection heads have none and stay.
    private List<string> Update(string prefix, Value loss, IEnumerable<ParameterSpec> specs)
    {
        ParameterSpec[] candidates = [.. specs.Where(spec => spec.Trained && Graph.Parameters.ContainsKey(spec.Name))];
        Value[] parameters = [.. candidates.Select(spec => Graph.Parameter(spec.Name, spec.Shape))];
        IReadOnlyList<Value?> gradients = Gradients.Of(loss, parameters);
        var adam = new Adam(options.Beta1, options.Beta2, options.Epsilon);
        List<string> trained = [];
        for (int i = 0; i < parameters.Length; i++)
        {
            if (gradients[i] is not Value gradient)
            {
                continue;
            }

            string name = parameters[i].Name;
            trained.Add(name);
            if (mode == TrainingGraphMode.Gradients)
            {
                values[prefix + name] = Graph.Output(prefix + name, gradient);
                continue;
            }

            using IDisposable scope = Graph.Scope(name);
            Graph.Adam(adam, parameters[i], gradient, Graph.Parameter(FirstMomentPrefix + name, parameters[i].Shape),
                Graph.Parameter(SecondMomentPrefix + name, parameters[i].Shape), LearningRate, Step);
        }

        return trained;
    }
}

/// <summary>What a training graph does with gradients.</summary>
internal enum TrainingGraphMode
{
    /// <summary>Updates the parameters.</summary>
    Update,

    /// <summary>Leaves the parameters and gives the gradients out, for tests.</summary>
    Gradients,
}

using Stig.Model.Checkpoints;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Model.Refinement;
using Stig.Model.Translation;

namespace Stig.SelfTest.Cases;

/// <summary>
/// Whole computations against tensors that the reference implementation left (tests/golden): spectra and images of them, the generator's
/// output, refined images. Oracle: the file. What it holds is itself float32, from sums in another order.
/// </summary>
internal static class ReferenceCases
{
    private const string Generator = "generator.";

    // The reference's own error is up to 2e-5 of a tensor's norm after thirty convolutions and normalisations, 1e-5 and less in spectra, and
    // up to 1e-4 where a spectrum is scaled by its smallest value, which is near 0. Another order of the sums is as far off elsewhere.
    private static readonly Bound Spectra = new(5e-6, 2e-5, "float32 transforms, in another order");
    private static readonly Bound Scaled = new(1e-4, 2e-4, "scaled by the smallest magnitude, which is uncertain by 1e-4");
    private static readonly Bound Network = new(1e-4, 1e-4, "thirty convolutions and normalisations in float32, in another order");

    // Each of the thirty layers rounds anew, and normalisation keeps errors at their share of the values.
    private const double Layers = 10;

    /// <summary>The cases of the files that a folder has; none when it has none of them.</summary>
    /// <exception cref="CheckpointException">A file cannot be read or lacks a tensor.</exception>
    public static IReadOnlyList<OperationCase> Of(string folder) =>
    [
        .. Cases(folder, "01_spectrum", SpectrumCases),
        .. Cases(folder, "01b_spectrum_large", SpectrumCases),
        .. Cases(folder, "02_generator", GeneratorCases),
        .. Cases(folder, "06_forward", PassCases),
        .. Cases(folder, "08_evaluation", RefinementCases),
    ];

    private static IEnumerable<OperationCase> Cases(string folder, string name, Func<ReferenceFile, IEnumerable<OperationCase>> make)
    {
        string path = Path.Combine(folder, name + ".safetensors");
        return File.Exists(path) ? make(new ReferenceFile(name, path)) : [];
    }

    // As the reference: analysed and put together again, shifts over batch and channels included.
    private static IEnumerable<OperationCase> SpectrumCases(ReferenceFile file) => file.Between("", ".polar2img").Select(example => new OperationCase
    {
        Name = $"reference/{file.Name}, {example}",
        Inputs = [file.Input($"{example}.image")],
        Build = (graph, x) =>
        {
            var translator = new Translator(Official(x[0].Shape.H, 8));
            Spectrum spectrum = translator.Analyze(graph, x[0]);
            Value magnitude = graph.RangeDenormalize(spectrum.Normalized, spectrum.Lo, spectrum.Hi, 2, -1);
            return [spectrum.Normalized, spectrum.Hi, translator.Synthesize(graph, magnitude, spectrum.Phasor)];
        },
        Oracle = _ => [file.Tensor($"{example}.normalized"), file.Tensor($"{example}.vmax"), file.Tensor($"{example}.polar2img")],
        Outputs = [new("normalized", Scaled), new("vmax", Spectra), new("polar2img", Spectra)],
    });

    private static IEnumerable<OperationCase> GeneratorCases(ReferenceFile file) =>
        from example in file.Between("input_", "")
        from mode in new[] { NormalizationMode.Batch, NormalizationMode.Running }
        let stage = mode == NormalizationMode.Batch ? "train" : "eval"
        where file.Has($"{stage}_{example}.output")
        select new OperationCase
        {
            Name = $"reference/{file.Name}, {example}, {stage}",
            Inputs = [file.Input($"input_{example}"), .. file.Parameters()],
            Build = (graph, x) => [new NestedUNet(file.Width).Apply(graph, x[0], mode)],
            Oracle = _ => [file.Tensor($"{stage}_{example}.output")],
            Outputs = [new("output", Network, Layers)],
            NeedsFloat32Features = true,
        };

    // A pass of the networks over two spectra, whose statistics are those of both.
    private static IEnumerable<OperationCase> PassCases(ReferenceFile file) =>
    [
        new()
        {
            Name = $"reference/{file.Name}",
            Inputs = [file.Input("image_A"), file.Input("image_B"), .. file.Parameters()],
            Build = (graph, x) =>
            {
                var translator = new Translator(Official(x[0].Shape.H, file.Width));
                Spectrum a = translator.Analyze(graph, x[0]);
                Spectrum b = translator.Analyze(graph, x[1]);
                TranslatedSpectrum[] translated = translator.Translate(graph, trackRunning: false, a, b);
                Value refined = translator.Synthesize(graph, translated[0].Magnitude, a.Phasor);
                return [graph.RangeNormalize(refined, perImage: false).Normalized, translator.Synthesize(graph, translated[1].Magnitude, b.Phasor)];
            },
            Oracle = _ => [file.Tensor("denoised_image_normed"), file.Tensor("identity_image_B")],
            Outputs = [new("denoised_image_normed", Network, Layers), new("identity_image_B", Network, Layers)],
            NeedsFloat32Features = true,
        },
    ];

    private static IEnumerable<OperationCase> RefinementCases(ReferenceFile file) => file.Between("", ".input").Select(image => new OperationCase
    {
        Name = $"reference/{file.Name}, {image}",
        Inputs = [file.Input($"{image}.input"), .. file.Parameters()],
        Build = (graph, x) => [RefineGraph.Build(graph, Official(x[0].Shape.H, file.Width), x[0], OutputRange.Stretch)],
        Oracle = _ => [file.Tensor($"{image}.denoised_image_normed")],
        Outputs = [new("denoised_image_normed", Network, Layers)],
        NeedsFloat32Features = true,
    });

    private static ModelArchitecture Official(int size, int width) => new(Preset.Official, size, width, NormalizationMode.Batch);

    /// <summary>A file of the reference's tensors; opened for each tensor, so that nothing is held between cases.</summary>
    private sealed class ReferenceFile
    {
        private readonly string path;
        private readonly Dictionary<string, Shape> shapes;

        public ReferenceFile(string name, string path)
        {
            Name = name;
            this.path = path;
            using SafeTensorsFile file = SafeTensorsFile.Open(path);
            shapes = file.Tensors.ToDictionary(tensor => tensor.Name, tensor => new Shape([.. tensor.Shape.Select(extent => checked((int)extent))]));
        }

        public string Name { get; }

        /// <summary>Channels of the generator's uppermost level.</summary>
        public int Width => shapes[Generator + "final.weight"].C;

        public bool Has(string tensor) => shapes.ContainsKey(tensor);

        /// <summary>What stands between prefix and suffix in names of tensors, without dots.</summary>
        public IEnumerable<string> Between(string prefix, string suffix) => shapes.Keys
            .Where(name => name.Length > prefix.Length + suffix.Length && name.StartsWith(prefix, StringComparison.Ordinal) && name.EndsWith(suffix, StringComparison.Ordinal))
            .Select(name => name[prefix.Length..(name.Length - suffix.Length)])
            .Where(middle => !middle.Contains('.'));

        public CaseInput Input(string tensor) => CaseInput.Constant(tensor, shapes[tensor], Values(tensor));

        /// <summary>Weights and running statistics of the generator.</summary>
        public IEnumerable<CaseInput> Parameters() => new NestedUNet(Width).Parameters().Where(spec => Has(spec.Name))
            .Select(spec => CaseInput.State(spec.Name, spec.Shape, Values(spec.Name)));

        public Tensor Tensor(string tensor)
        {
            using SafeTensorsFile file = SafeTensorsFile.Open(path);
            float[] values = new float[file.Find(tensor).Count];
            file.Read(tensor, values);
            return new Tensor(shapes[tensor], ElementType.Float32, Array.ConvertAll(values, value => (double)value));
        }

        private InputFill Values(string tensor) => (_, _) => Tensor(tensor).Values;
    }
}

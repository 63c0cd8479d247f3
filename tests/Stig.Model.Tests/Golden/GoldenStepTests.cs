using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: one forward pass of the reference with both backward passes and no optimizer step between (files 06, 06b; 06b has
/// the weights of generator and discriminator from 06). Tolerance: <see cref="Tolerance"/>.
/// </summary>
public sealed class GoldenStepTests
{
    private const string Weights = "06_forward";

    private static readonly string[] Intermediates =
    [
        "real_A", "real_B", "A_vmax", "A_vmin", "B_vmax", "B_vmin", "fake_B", "idt_B",
        "fake_B_inverse_normed", "idt_B_inverse_normed", "denoised_image_A", "identity_image_B", "denoised_image_normed",
        "denoised_mag", "real_psd", "denoised_psd",
    ];

    [Theory]
    [InlineData(Weights)]
    [InlineData("06b_forward_small")]
    public void Intermediates_and_losses_match(string name)
    {
        using GoldenFile file = GoldenFolder.Open(name);
        using GoldenFile weights = GoldenFolder.Open(Weights);
        (TrainingGraph training, Evaluation run) = Build(file, weights);
        using (run)
        {
            var check = new GoldenCheck(file);
            foreach (string tensor in Intermediates.Concat(training.LossNames))
            {
                run.Expect(check, tensor, training.Values[tensor]);
            }

            run.Run();
            check.Finish();
        }
    }

    [Theory]
    [InlineData(Weights)]
    [InlineData("06b_forward_small")]
    public void Phases_match(string name)
    {
        using GoldenFile file = GoldenFolder.Open(name);
        var check = new GoldenCheck(file);
        using Evaluation run = new(file.Floats);
        foreach (string image in new[] { "A", "B" })
        {
            Value input = run.Input(file, $"image_{image}");
            (Value magnitude, Value phasor) = run.Graph.LogSpectrum(run.Graph.Roll(input, input.Shape.N / 2, input.Shape.C / 2));
            run.Read(magnitude, phasor, (m, p) => check.Phase($"real_{image}_phase", p, m));
        }

        run.Run();
        check.Finish();
    }

    [Theory]
    [InlineData(Weights)]
    [InlineData("06b_forward_small")]
    public void Gradients_of_all_parameters_match(string name)
    {
        using GoldenFile file = GoldenFolder.Open(name);
        using GoldenFile weights = GoldenFolder.Open(Weights);
        (TrainingGraph training, Evaluation run) = Build(file, weights);
        using (run)
        {
            var check = new GoldenCheck(file);
            foreach ((string tensor, Value gradient) in training.Values
                .Where(value => value.Key.StartsWith("grad_", StringComparison.Ordinal)))
            {
                run.Expect(check, tensor, gradient);
            }

            // The reference leaves the gradient of loss_G in the spectral discriminator and throws it away.
            run.ExpectGradients(check, training.Values["loss_G"], [.. training.Graph.Parameters.Values
                .Where(parameter => parameter.Name.StartsWith("psd.", StringComparison.Ordinal))
                .Select(parameter => ($"grad_G_leak.{parameter.Name}", parameter))]);
            run.Run();
            check.Finish();
        }
    }

    [Fact]
    public void Gradients_of_intermediates_match()
    {
        using GoldenFile file = GoldenFolder.Open("06b_forward_small");
        using GoldenFile weights = GoldenFolder.Open(Weights);
        (TrainingGraph training, Evaluation run) = Build(file, weights);
        using (run)
        {
            var check = new GoldenCheck(file);
            run.ExpectGradients(check, training.Values["loss_G"], [.. file.Between("grad_G_wrt.", "")
                .Select(tensor => ($"grad_G_wrt.{tensor}", training.Values[tensor]))]);
            Value[] translated = [training.Values["fake_B"], training.Values["idt_B"]];
            foreach (string loss in file.Between("grad_fake_of.", ""))
            {
                IReadOnlyList<Value?> gradients = Gradients.Of(training.Values[loss], translated);
                Value[] both = [.. gradients.Select((gradient, i) => gradient ?? training.Graph.Fill(translated[i].Shape, 0f))];
                run.Expect(check, $"grad_fake_of.{loss}", training.Graph.Concat(Axis.Batch, both));
            }

            run.Run();
            check.Finish();
        }
    }

    private static (TrainingGraph Training, Evaluation Run) Build(GoldenFile file, GoldenFile weights)
    {
        TrainingOptions options = OfficialStep.Options(file, "image_A", weights);
        var training = new TrainingGraph(options, TrainingGraphMode.Gradients, externalPositions: true);
        Evaluation run = new(name => (file.Has(name) ? file : weights).Floats(name), training.Graph);
        run.Set(training.Fake, file.Floats("image_A"));
        run.Set(training.Real, file.Floats("image_B"));
        foreach ((string name, Value input) in OfficialStep.PositionInputs(training.Graph))
        {
            run.Set(input, file.Positions(name));
        }

        return (training, run);
    }
}

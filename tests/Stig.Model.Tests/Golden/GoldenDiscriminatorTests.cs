using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>Oracle: the reference's patch discriminator (file 03). Tolerance: <see cref="Tolerance"/>.</summary>
public sealed class GoldenDiscriminatorTests
{
    [Fact]
    public void Stages_losses_and_gradients_match()
    {
        using GoldenFile file = GoldenFolder.Open("03_discriminator");
        var check = new GoldenCheck(file);
        var discriminator = new PatchDiscriminator(file.ShapeOf("discriminator.stage_1.block.0.weight")[0]);
        foreach (string example in file.Between("", ".input"))
        {
            using Evaluation run = new(file.Floats);
            Value input = run.Input(file, $"{example}.input");
            Value prediction = discriminator.Apply(run.Graph, input, out Value[] stages);
            foreach ((int stage, Value output) in stages.Index())
            {
                run.Expect(check, $"{example}.stage{stage + 1}", output);
            }

            run.Expect(check, $"{example}.prediction", prediction);
            run.Expect(check, $"{example}.loss_mse_zeros", run.Graph.MeanSquaredError(prediction, 0f));
            Value loss = run.Graph.MeanSquaredError(prediction, 1f);
            run.Expect(check, $"{example}.loss_mse_ones", loss);
            run.ExpectGradients(check, loss, [($"{example}.grad_input", input),
                .. run.Graph.Parameters.Values.Select(parameter => ($"{example}.grad.{parameter.Name}", parameter))]);
            run.Run();
        }

        check.Finish();
    }
}
